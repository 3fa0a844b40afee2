"""Some rows of many, as a user writes them behind a name: `[600:974]`, `[:10%]`, `[-100:]`. Parsing alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from assistant.errors import UsageError

_SLICE = re.compile(r"(.*)\[([^\[\]]*)\]", re.DOTALL)
_BOUND = re.compile(r"(-?\d{1,15})(%?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One end of a slice."""

    value: int
    is_percent: bool = False

    def resolve(self, total: int) -> int:
        """Return the row's number, from 0, in `total` rows; a percentage is rounded to the nearest row."""
        row = round(self.value * total / 100) if self.is_percent else self.value
        return min(max(row + total if self.value < 0 else row, 0), total)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSlice:
    """Some of a source's rows, as Python slices a list."""

    start: Bound | None = None
    stop: Bound | None = None

    def resolve(self, total: int) -> range:
        """Return the numbers of the rows, from 0."""
        start = self.start.resolve(total) if self.start else 0
        stop = self.stop.resolve(total) if self.stop else total
        return range(start, max(start, stop))


def split_slice(text: str) -> tuple[str, RowSlice | None]:
    """Cut the rows off a name; None where it names none.

    Raises:
        UsageError: What stands in brackets at its end is no slice.
    """
    parts = _SLICE.fullmatch(text)
    if parts is None:
        return text, None
    start, colon, stop = parts[2].partition(":")
    if not colon:
        raise _slice_error(text)
    return parts[1], RowSlice(start=_parse_bound(start, text), stop=_parse_bound(stop, text))


def _parse_bound(text: str, whole: str) -> Bound | None:
    if not text:
        return None
    parts = _BOUND.fullmatch(text)
    if parts is None or (parts[2] and abs(int(parts[1])) > 100):
        raise _slice_error(whole)
    return Bound(value=int(parts[1]), is_percent=bool(parts[2]))


def _slice_error(text: str) -> UsageError:
    return UsageError(
        f"{text!r} does not end with a slice of rows", hint="write [600:974], [:10%] or [-100:]"
    )
