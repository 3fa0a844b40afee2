from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assistant.engine.lookup import LONGEST, NGRAM, PATIENCE, PAUSE, PromptLookup


def test_what_followed_the_last_tokens_before_is_guessed() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 6, 7, 9, 9, 1, 2, 3])
    lookup.push(4)
    assert lookup.guess(3) == [5, 6, 7]


def test_the_latest_place_counts() -> None:
    assert PromptLookup([1, 2, 3, 4, 5, 1, 2, 3, 4, 6, 1, 2, 3, 4]).guess(1) == [6]


def test_text_that_never_occurred_is_not_guessed() -> None:
    assert PromptLookup(range(20)).guess(5) == []
    assert PromptLookup([1, 2]).guess(5) == []


def test_guesses_get_shorter_where_they_fail_and_longer_where_they_hold() -> None:
    prompt = [*range(40), *range(NGRAM)]
    lookup = PromptLookup(prompt)
    lookup.note(LONGEST, 1)
    shorter = len(lookup.guess(100))
    assert shorter < LONGEST
    lookup.note(shorter, shorter)
    assert len(lookup.guess(100)) > shorter


def test_misses_in_a_row_pause_it() -> None:
    lookup = PromptLookup([*range(40), *range(NGRAM)])
    for _ in range(PATIENCE):
        assert lookup.guess(5)
        lookup.note(5, 0)
    assert lookup.guess(5) == []
    for token in [*range(100, 100 + PAUSE - NGRAM), *range(NGRAM)]:
        lookup.push(token)
    assert lookup.guess(5)


@given(tokens=st.lists(st.integers(0, 3), max_size=60), room=st.integers(-1, 12))
def test_a_guess_is_a_piece_of_the_text_after_the_same_tokens(tokens: list[int], room: int) -> None:
    guess = PromptLookup(tokens).guess(room)
    assert len(guess) <= max(0, min(room, LONGEST))
    if guess:
        seen = [*tokens[-NGRAM:], *guess]
        assert any(tokens[i : i + len(seen)] == seen for i in range(len(tokens) - NGRAM))
