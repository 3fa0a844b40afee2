"""The values that the data half passes on: an example, the place it came from, and why one was left out.

Knows no file format, no tokenizer and no cleaning rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an example teaches."""

    INSTRUCTION = "instruction"
    """A row of a data file: task and input in, code out."""
    FUNCTION = "function"
    """A docstring in, the function out."""
    BODY = "body"
    """Signature and docstring in, the function's body out, indented as it stands in the function."""
    DOCSTRING = "docstring"
    """A function in, the same with a docstring out."""
    TESTS = "tests"
    """A function in, its tests out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in the user's data."""

    file: str
    """As the user named it."""
    row: int = 0
    """The line it begins at, or its row; from 1. 0 for the whole file."""
    unit: str = "line"
    """What `row` counts: line or row."""

    def __str__(self) -> str:
        if not self.row:
            return self.file
        return f"{self.file}:{self.row}" if self.unit == "line" else f"{self.file} row {self.row}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One row to learn from. Line ends are line feeds."""

    task: str
    input: str = ""
    code: str
    """What is learnt."""
    place: Place
    kind: Kind = Kind.INSTRUCTION
    families: tuple[str, ...] = ()
    """What it shares with its relatives, coarse first: its file, its function. Empty for a row of its own."""
    license: str = ""
    """As an SPDX identifier, where it is known."""

    @property
    def text(self) -> str:
        """All of it, for whoever looks for something in it."""
        return "\n".join(part for part in (self.task, self.input, self.code) if part)


def find_half_character(text: str) -> str:
    """Say where half a surrogate pair stands, which no tokenizer reads back; or return the empty string."""
    if text.isascii():
        return ""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"half a character, U+{ord(text[error.start]):04X}, at position {error.start}"
    return ""


class Reason(StrEnum):
    """Why something did not become a row to learn from. The value is how the report calls it."""

    BROKEN = "broken"
    MISSING = "missing text"
    NOT_TEXT = "not text"
    SURROGATE = "half a character"
    NO_ANSWER = "no answer"
    CONVERSATION = "conversation"
    TOO_LONG = "too long"
    SECRET = "secret"
    UNPARSABLE = "not Python"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near duplicate"
    BENCHMARK = "benchmark"
    HELD_OUT = "held out"
    UNREADABLE = "unreadable"
    LINK = "link"
    GENERATED = "generated"
    TOO_LARGE = "too large"
    TOO_SMALL = "too small"
    UNFINISHED = "unfinished"
    NO_DOCSTRING = "no docstring"
    UNKNOWN_NAMES = "unknown names"


FAULTS = frozenset(
    {
        Reason.BROKEN,
        Reason.MISSING,
        Reason.NOT_TEXT,
        Reason.SURROGATE,
        Reason.NO_ANSWER,
        Reason.CONVERSATION,
        Reason.TOO_LONG,
    }
)
"""What is wrong with a row itself. Many of them mean that the data was misread; the rest is cleaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Something that was left out. Never carries a secret's value."""

    place: Place
    reason: Reason
    detail: str = ""
    """What exactly, for a person."""
    kind: Kind | None = None
    """What it would have become; None where that was not known yet."""
