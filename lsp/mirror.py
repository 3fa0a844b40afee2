"""The server's copy of one document: a chain of unchanging snapshots, and how each became the next.

An answer takes seconds and the user types on. `Current` says what became of a snapshot in the meantime, so
that an edit made for it can be moved to where its text is now, or not be made. Knows no protocol library.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from lsp.edits import trim_equal_ends
from lsp.positions import Lines, PositionEncoding, Range, Span
from lsp.syntax import SyntaxTree

MAX_REMEMBERED_CHANGES = 10_000
"""About an hour of steady typing. What is older than that can still be found by its text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentChange:
    """A change as an editor sends it."""

    text: str
    range: Range | None = None
    """What the text replaces; None where it is the whole document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change as it was made: characters of the text before, and how many stand there after."""

    span: Span
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A document at one moment. Safe to hand to another thread."""

    uri: str
    """The client's exact text."""
    version: int | None
    """The client's number. None where there is none, as for a file that is not open."""
    revision: int
    """Ours: grows with each change, whatever the client counts."""
    lines: Lines
    mirror: object = field(default=None, compare=False, repr=False)
    """What it is a snapshot of: a document that was opened again counts anew."""

    @property
    def text(self) -> str:
        """All of it."""
        return self.lines.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """A document now, and what was changed since a snapshot of it."""

    snapshot: Snapshot
    changes: tuple[Change, ...] | None
    """Oldest first; None where they are not known any more."""


class Mirror:
    """One open document, in step with the editor's buffer. Used on one thread; its snapshots anywhere.

    Args:
        uri: The client's exact text.
        version: As the client counts.
        text: All of it.
        encoding: In which the client's ranges count.
        is_cell: It is a cell of a notebook, where `%` and `!` may begin a line.
    """

    def __init__(
        self, *, uri: str, version: int | None, text: str, encoding: PositionEncoding, is_cell: bool = False
    ) -> None:
        self.encoding = encoding
        self.is_cell = is_cell
        lines = Lines(text)
        self.snapshot = Snapshot(uri=uri, version=version, revision=0, lines=lines, mirror=self)
        self.tree = SyntaxTree(lines, is_cell=is_cell)
        self._changes: deque[Change] = deque(maxlen=MAX_REMEMBERED_CHANGES)

    def apply(self, version: int | None, changes: Iterable[ContentChange]) -> None:
        """Follow the client's changes, in their order."""
        for change in changes:
            before = self.snapshot.lines
            span, new = _locate(before, change, self.encoding)
            after = before.replaced(span, new)
            self.tree = self.tree.edited(after, span, len(new))
            self._changes.append(Change(span=span, length=len(new)))
            revision = self.snapshot.revision + 1
            self.snapshot = replace(self.snapshot, revision=revision, lines=after)
        self.snapshot = replace(self.snapshot, version=version)

    def since(self, snapshot: Snapshot) -> Current:
        """What this document is now, and what was changed since a snapshot of it."""
        count = self.snapshot.revision - snapshot.revision
        if snapshot.mirror is not self or count > len(self._changes):
            return Current(snapshot=self.snapshot, changes=None)
        changes = tuple(self._changes)[len(self._changes) - count :]
        return Current(snapshot=self.snapshot, changes=changes)


def _locate(lines: Lines, change: ContentChange, encoding: PositionEncoding) -> tuple[Span, str]:
    """What a change replaces, and by what.

    Of a whole new document only the part that differs is taken: a formatter that sends everything has then
    not touched what it left alone.
    """
    if change.range is None:
        return trim_equal_ends(lines.text, change.text)
    span = lines.span_at(change.range, encoding)
    return _join_surrogates(lines.text, span, change.text)


def _join_surrogates(text: str, span: Span, new: str) -> tuple[Span, str]:
    """Take a neighbour along where the change puts the two halves of a character beside each other."""
    start = span.start - (_is_between(text[span.start - 1 : span.start], "\ud800", "\udbff"))
    end = span.end + _is_between(text[span.end : span.end + 1], "\udc00", "\udfff")
    halves = text[start : span.start] + new + text[span.end : end]
    whole = halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if whole == halves:
        return span, new
    return Span(start=start, end=end), whole


def _is_between(character: str, first: str, last: str) -> bool:
    return first <= character <= last
