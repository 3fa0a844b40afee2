"""Where a piece of a document is now that the user has typed on, or that it is not there any more.

The lines that the piece lies on are its anchor. It has moved unharmed when every change since was outside of
them; failing that, when those lines stood in the document exactly once and stand there exactly once now.
"""

from __future__ import annotations

from collections.abc import Iterable

from lsp.mirror import Change, Current, Snapshot
from lsp.positions import Lines, Span


def find_moved(span: Span, snapshot: Snapshot, current: Current) -> Span | None:
    """Return the place of a span of a snapshot in the current text, or None.

    What is returned holds the same characters, on the same lines.
    """
    anchor = snapshot.lines.whole_lines(span)
    anchor = Span(start=anchor.start, end=max(anchor.end, span.end))
    before, now = snapshot.lines, current.snapshot.lines
    moved = _follow(anchor, current.changes) if current.changes is not None else None
    if moved is None or not _is_same(anchor, before, moved, now):
        moved = _find_again(anchor, before, now)
    if moved is None:
        return None
    shift = moved.start - anchor.start
    return Span(start=span.start + shift, end=span.end + shift)


def follow_loosely(span: Span, changes: Iterable[Change]) -> Span:
    """Move a selection through changes. One that they touch shrinks to what is left of it."""
    start, end = span.start, span.end
    for change in changes:
        start, end = _follow_offset(start, change), _follow_offset(end, change)
    return Span(start=start, end=max(start, end))


def _follow_offset(offset: int, change: Change) -> int:
    if offset >= change.span.end:
        return offset + change.length - (change.span.end - change.span.start)
    return min(offset, change.span.start)


def _follow(anchor: Span, changes: Iterable[Change]) -> Span | None:
    for change in changes:
        grown = change.length - (change.span.end - change.span.start)
        if change.span.end <= anchor.start:
            anchor = Span(start=anchor.start + grown, end=anchor.end + grown)
        elif change.span.start < anchor.end:
            return None
    return anchor


def _is_same(anchor: Span, before: Lines, moved: Span, now: Lines) -> bool:
    return moved.cut(now.text) == anchor.cut(before.text) and _is_whole(moved, now)


def _is_whole(span: Span, lines: Lines) -> bool:
    if lines.starts[lines.line_at(span.start)] != span.start:
        return False
    last = lines.line_at(span.end)
    return span.end == lines.content(last).end or span.start < span.end == lines.starts[last]


def _find_again(anchor: Span, before: Lines, now: Lines) -> Span | None:
    wanted = anchor.cut(before.text)
    if not wanted.strip() or _find_only(wanted, before) is None:
        return None
    return _find_only(wanted, now)


def _find_only(wanted: str, lines: Lines) -> Span | None:
    """Find whole lines that stand in a text exactly once."""
    found: Span | None = None
    place = lines.text.find(wanted)
    while place >= 0:
        span = Span(start=place, end=place + len(wanted))
        if _is_whole(span, lines):
            if found is not None:
                return None
            found = span
        place = lines.text.find(wanted, place + 1)
    return found
