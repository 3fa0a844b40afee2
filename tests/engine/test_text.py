from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from assistant.engine.text import StopScanner, TextStream


def scan(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    scanner = StopScanner(stops)
    shown = "".join(scanner.push(piece) for piece in pieces)
    return shown + ("" if scanner.stopped else scanner.flush()), scanner.stopped


def test_text_ends_where_a_stop_string_begins() -> None:
    assert scan(["one two", " three"], ["two"]) == ("one ", True)


def test_a_stop_string_is_found_across_pieces() -> None:
    assert scan(["code\n", "##", "# Ta", "sk:", " more"], ["### Task:"]) == ("code\n", True)


def test_the_first_of_several_stop_strings_counts() -> None:
    assert scan(["a END b STOP"], ["STOP", "END"]) == ("a ", True)


def test_what_only_began_like_a_stop_string_is_given_back() -> None:
    assert scan(["x ##", "# Tables"], ["### Task:"]) == ("x ### Tables", False)


def test_text_that_cannot_become_a_stop_string_is_not_held_back() -> None:
    scanner = StopScanner(["STOP"])
    assert scanner.push("plain text") == "plain text"


@given(
    text=st.text(alphabet="abS#", max_size=60),
    stops=st.lists(st.text(alphabet="abS#", min_size=1, max_size=4), min_size=1, max_size=3),
    cuts=st.lists(st.integers(0, 60), max_size=10),
)
def test_how_text_is_cut_into_pieces_does_not_matter(text: str, stops: list[str], cuts: list[int]) -> None:
    places = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    pieces = [text[a:b] for a, b in itertools.pairwise(places)]
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    shown, stopped = scan(pieces, stops)
    assert stopped == bool(found)
    # In pieces, an earlier stop string may complete after a later one: the text is never longer.
    if not found:
        assert shown == text
    else:
        assert text.startswith(shown)
        assert not any(stop in shown for stop in stops)


@pytest.fixture(scope="module")
def byte_tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@given(text=st.text(max_size=40))
def test_characters_come_out_whole(byte_tokenizer: Tokenizer, text: str) -> None:
    stream = TextStream(byte_tokenizer)
    pieces = [stream.push(token) for token in byte_tokenizer.encode(text).ids]
    assert "".join(pieces) == text
    assert "\ufffd" not in "".join(pieces) or "\ufffd" in text
