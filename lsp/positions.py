r"""Where things are in a text: offsets, lines, and the columns that editors count in.

Lines end at `\n`, `\r\n` and `\r` and nowhere else: a form feed or a Unicode separator is a character of its
line. Offsets count Python characters from 0. Knows no protocol library.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

_BREAK = re.compile(r"\r\n?|\n")
_LAST_OF_BMP = 0xFFFF


class PositionEncoding(StrEnum):
    """The unit in which an editor counts columns."""

    UTF8 = "utf-8"
    UTF16 = "utf-16"
    UTF32 = "utf-32"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Position:
    """A place as an editor names it. Both count from 0."""

    line: int
    character: int
    """Units of the negotiated encoding from the start of the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Two places; the end is not part of it."""

    start: Position
    end: Position


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """Offsets from `start` up to but not including `end`."""

    start: int
    end: int

    @property
    def is_empty(self) -> bool:
        """Whether it is a place between two characters."""
        return self.start == self.end

    def covers(self, other: Span) -> bool:
        """Whether all of the other lies within this one."""
        return self.start <= other.start and other.end <= self.end

    def meets(self, other: Span) -> bool:
        """Whether both have a character in common, or touch."""
        return self.start <= other.end and other.start <= self.end

    def cut(self, text: str) -> str:
        """The characters of a text that it spans."""
        return text[self.start : self.end]


class Lines:
    """A text and where its lines start. Never changes; `replaced` makes the next one.

    A text has as many lines as line breaks and one more: the last may be empty.
    """

    __slots__ = ("starts", "text")

    def __init__(self, text: str, starts: tuple[int, ...] | None = None) -> None:
        self.text = text
        self.starts = starts if starts is not None else (0, *_break_ends(text, 0, len(text)))

    def replaced(self, span: Span, new: str) -> Lines:
        """Return the lines after a change; only lines that it touches are searched for breaks."""
        text = self.text[: span.start] + new + self.text[span.end :]
        grown = len(new) - (span.end - span.start)
        line = self.line_at(span.start)
        if self.starts[line] == span.start and line and self.text[span.start - 1] == "\r":
            line -= 1  # a line feed may now follow its carriage return
        after = bisect_right(self.starts, span.end)
        found = _break_ends(text, self.starts[line], span.start + len(new))
        later = tuple(start + grown for start in self.starts[after:])
        return Lines(text, (*self.starts[: line + 1], *found, *later))

    def line_at(self, offset: int) -> int:
        """The number of the line that an offset lies on."""
        return bisect_right(self.starts, offset) - 1

    def content(self, line: int) -> Span:
        """A line without its line break."""
        full = self.full(line)
        end = full.end
        while end > full.start and self.text[end - 1] in "\r\n":
            end -= 1
        return Span(start=full.start, end=end)

    def full(self, line: int) -> Span:
        """A line with its line break, if it has one."""
        is_last = line + 1 == len(self.starts)
        return Span(start=self.starts[line], end=len(self.text) if is_last else self.starts[line + 1])

    def line_text(self, line: int) -> str:
        """The characters of a line without its line break."""
        return self.content(line).cut(self.text)

    def whole_lines(self, span: Span) -> Span:
        """Widen a span to the lines that it lies on, without the last one's line break.

        A span that ends at the start of a line does not reach into that line.
        """
        first, last = self.line_at(span.start), self.line_at(span.end)
        if last > first and self.starts[last] == span.end:
            last -= 1
        return Span(start=self.starts[first], end=max(self.content(last).end, span.start))

    def offset_at(self, position: Position, encoding: PositionEncoding) -> int:
        """The offset of a place. One outside of the text or its line is moved to the nearest inside.

        A column in the middle of a character is that character's start.
        """
        if position.line < 0:
            return 0
        if position.line >= len(self.starts):
            return len(self.text)
        content = self.content(position.line)
        column = max(position.character, 0)
        line_text = content.cut(self.text)
        if encoding is PositionEncoding.UTF32 or line_text.isascii():
            return min(content.start + column, content.end)
        return content.start + _characters_within(line_text, column, encoding)

    def position_at(self, offset: int, encoding: PositionEncoding) -> Position:
        """The place of an offset. Offsets outside of the text are moved to its ends.

        An offset between a carriage return and its line feed is the end of that line.
        """
        offset = min(max(offset, 0), len(self.text))
        line = self.line_at(offset)
        content = self.content(line)
        before = self.text[content.start : min(offset, content.end)]
        if encoding is PositionEncoding.UTF32 or before.isascii():
            return Position(line=line, character=len(before))
        return Position(line=line, character=sum(_width(character, encoding) for character in before))

    def span_at(self, place: Range, encoding: PositionEncoding) -> Span:
        """The offsets of a range; one that is the wrong way round is turned."""
        ends = sorted((self.offset_at(place.start, encoding), self.offset_at(place.end, encoding)))
        return Span(start=ends[0], end=ends[1])

    def range_at(self, span: Span, encoding: PositionEncoding) -> Range:
        """The range of a span, as an editor names it."""
        return Range(start=self.position_at(span.start, encoding), end=self.position_at(span.end, encoding))


def _break_ends(text: str, start: int, end: int) -> list[int]:
    """Where lines start after `start` and up to `end`. One more character is read: it may be a line feed."""
    return [match.end() for match in _BREAK.finditer(text, start, end + 1) if match.end() <= end]


def _width(character: str, encoding: PositionEncoding) -> int:
    # Counted, not encoded: an editor may send half of a surrogate pair, which no codec takes.
    code = ord(character)
    if encoding is PositionEncoding.UTF16:
        return 2 if code > _LAST_OF_BMP else 1
    return 1 + (code > 0x7F) + (code > 0x7FF) + (code > _LAST_OF_BMP)


def _characters_within(text: str, units: int, encoding: PositionEncoding) -> int:
    """How many whole characters at the start of a text fit into so many units."""
    for number, character in enumerate(text):
        units -= _width(character, encoding)
        if units < 0:
            return number
    return len(text)
