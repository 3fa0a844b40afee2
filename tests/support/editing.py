"""Random documents, and an editor's own buffer to compare the server's mirror with.

The buffer counts columns by encoding text, where the server counts them by arithmetic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hypothesis import strategies as st

from lsp.mirror import ContentChange
from lsp.positions import Position, PositionEncoding, Range

ENCODINGS = tuple(PositionEncoding)
PIECES = (
    *(
        "a",
        "x = 1",
        "def f(x):",
        "    return x",
        "\treturn",
        "pass",
        "# TODO: sort",
        "'''",
        '"',
        "(",
        "é",
        "ß",
    ),
    *("日本", "😀", "👩‍👩‍👧", "e\u0301", "\ufeff", "\x0c", "\u2028", "\x85", "\x0b", "\x1c", " ", "\t"),
    *("\n", "\n", "\n", "\r\n", "\r\n", "\r"),
)


def documents(max_size: int = 30) -> st.SearchStrategy[str]:
    """Texts with all that moves a column: wide characters, odd separators, every line end; or nothing."""
    return st.lists(st.sampled_from(PIECES), max_size=max_size).map("".join)


def column_width(text: str, encoding: PositionEncoding) -> int:
    """How many units a text has, by encoding it."""
    codec, size = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}[encoding]
    return len(text.encode(codec)) // size


def split_lines(text: str) -> list[str]:
    """The lines of a text with their ends: one more than there are line breaks."""
    return re.split(r"(?<=\n)|(?<=\r)(?!\n)", text)


@dataclass(kw_only=True)
class Buffer:
    """What an editor holds."""

    text: str
    encoding: PositionEncoding
    version: int = 0

    def place(self, offset: int) -> Position:
        """Name a place as an editor does. Between a return and its line feed there is none."""
        if self.text[offset - 1 : offset + 1] == "\r\n":
            offset -= 1
        before = split_lines(self.text[:offset])
        return Position(line=len(before) - 1, character=column_width(before[-1], self.encoding))

    def replace(self, start: int, end: int, new: str) -> ContentChange:
        """Type over a part of the text, and return what the editor tells its server."""
        start, end = (at - (self.text[at - 1 : at + 1] == "\r\n") for at in (start, end))
        change = ContentChange(text=new, range=Range(start=self.place(start), end=self.place(end)))
        self.text = self.text[:start] + new + self.text[end:]
        self.version += 1
        return change

    def replace_all(self, new: str) -> ContentChange:
        """Put another text in place of all, as some formatters do."""
        self.text = new
        self.version += 1
        return ContentChange(text=new)


@dataclass(frozen=True, kw_only=True)
class Keystroke:
    """A change at places that fit any text: fractions of its length."""

    start: float
    length: int
    text: str
    is_whole: bool


def keystrokes() -> st.SearchStrategy[Keystroke]:
    """Changes of a buffer: most small, some of the whole document."""
    return st.builds(
        Keystroke,
        start=st.floats(0, 1),
        length=st.sampled_from([0, 0, 0, 1, 1, 2, 5, 40]),
        text=documents(4),
        is_whole=st.sampled_from([False] * 9 + [True]),
    )


def strike(buffer: Buffer, key: Keystroke) -> ContentChange:
    """Carry a change out on a buffer."""
    start = round(key.start * len(buffer.text))
    end = min(start + key.length, len(buffer.text))
    if key.is_whole:
        return buffer.replace_all(buffer.text[:start] + key.text + buffer.text[end:])
    return buffer.replace(start, end, key.text)
