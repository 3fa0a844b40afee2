from __future__ import annotations

import pytest
from editing import ENCODINGS, Buffer, column_width, documents, split_lines
from hypothesis import given
from hypothesis import strategies as st

from lsp.positions import Lines, Position, PositionEncoding, Range, Span

UTF8, UTF16, UTF32 = ENCODINGS


def at(line: int, character: int) -> Position:
    return Position(line=line, character=character)


@given(documents())
def test_only_line_feeds_and_returns_break_lines(text: str) -> None:
    lines = Lines(text)
    ends = [*lines.starts[1:], len(text)]
    assert [text[start:end] for start, end in zip(lines.starts, ends, strict=True)] == split_lines(text)


@pytest.mark.parametrize("separator", ["\x0c", "\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_other_separators_are_characters_of_their_line(separator: str) -> None:
    lines = Lines(f"a{separator}b\nc")
    assert lines.starts == (0, 4)
    assert lines.offset_at(at(1, 0), UTF16) == 4


@given(documents(), st.sampled_from(ENCODINGS), st.data())
def test_places_survive_the_way_to_the_editor_and_back(
    text: str, encoding: PositionEncoding, data: st.DataObject
) -> None:
    offset = data.draw(st.integers(0, len(text)))
    place = Lines(text).position_at(offset, encoding)
    assert place == Buffer(text=text, encoding=encoding).place(offset)
    is_between = text[offset - 1 : offset + 1] == "\r\n"
    assert Lines(text).offset_at(place, encoding) == offset - is_between


@given(documents(), st.sampled_from(ENCODINGS), st.integers(-2, 40), st.integers(-2, 90))
def test_any_place_is_moved_into_the_text(
    text: str, encoding: PositionEncoding, line: int, character: int
) -> None:
    lines = Lines(text)
    offset = lines.offset_at(at(line, character), encoding)
    assert 0 <= offset <= len(text)
    assert text[offset - 1 : offset + 1] != "\r\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_column_past_the_end_is_the_end_of_the_line_content(encoding: PositionEncoding) -> None:
    lines = Lines("a\r\n# todo")
    assert lines.offset_at(at(0, 99), encoding) == 1
    assert lines.offset_at(at(1, 99), encoding) == 9
    assert lines.offset_at(at(1, 6), encoding) == 9


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_line_past_the_end_is_the_end_of_the_text(encoding: PositionEncoding) -> None:
    assert Lines("ab\ncd").offset_at(at(299, 0), encoding) == 5


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_empty_text_has_one_place(encoding: PositionEncoding) -> None:
    assert Lines("").offset_at(at(0, 0), encoding) == 0
    assert Lines("").position_at(0, encoding) == at(0, 0)


def test_the_end_of_a_text_without_final_newline_is_on_its_last_line() -> None:
    assert Lines("a\nb").position_at(3, UTF16) == at(1, 1)


def test_the_middle_of_a_surrogate_pair_is_the_start_of_its_character() -> None:
    assert Lines("a😀b").offset_at(at(0, 2), UTF16) == 1
    assert Lines("a😀b").offset_at(at(0, 3), UTF16) == 2


def test_the_middle_of_bytes_is_the_start_of_their_character() -> None:
    assert [Lines("é😀b").offset_at(at(0, column), UTF8) for column in range(8)] == [0, 0, 1, 1, 1, 1, 2, 3]


def test_half_a_surrogate_pair_is_one_unit() -> None:
    assert Lines("\ud83da").position_at(2, UTF16) == at(0, 2)
    assert Lines("\ud83da").position_at(2, UTF8) == at(0, 4)


def test_a_range_the_wrong_way_round_is_turned() -> None:
    place = Range(start=at(1, 1), end=at(0, 1))
    assert Lines("ab\ncd").span_at(place, UTF16) == Span(start=1, end=4)


@given(documents(), st.data())
def test_lines_after_a_change_are_those_of_the_new_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    new = data.draw(documents(5))
    after = Lines(text).replaced(Span(start=start, end=end), new)
    assert after.text == text[:start] + new + text[end:]
    assert after.starts == Lines(after.text).starts


@given(documents(), st.sampled_from(ENCODINGS))
def test_widths_are_those_of_the_encoded_text(text: str, encoding: PositionEncoding) -> None:
    flat = text.replace("\r", "").replace("\n", "")
    assert Lines(flat).position_at(len(flat), encoding).character == column_width(flat, encoding)


def test_whole_lines_do_not_reach_into_a_line_at_whose_start_the_span_ends() -> None:
    lines = Lines("one\r\ntwo\r\nthree")
    assert lines.whole_lines(Span(start=1, end=5)) == Span(start=0, end=3)
    assert lines.whole_lines(Span(start=1, end=6)) == Span(start=0, end=8)
    assert lines.whole_lines(Span(start=5, end=5)) == Span(start=5, end=8)
