"""CSV and TSV into rows of text: `007`, `NA`, `1e5` and an empty cell are what they are."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from assistant.errors import UsageError
from finetune.examples import Place, Reason, Reject
from finetune.readers.values import Row

MAX_CELL_CHARS = 64 * 1024 * 1024
"""csv's own limit is 128 KiB, less than some files of code."""


def read_delimited(text: str, name: str, *, is_tab: bool = False) -> Iterator[Row | Reject]:
    """Yield the rows under a header.

    Args:
        text: The whole file.
        name: What to call it.
        is_tab: Cells are divided by tabs; else by what divides the header.

    Raises:
        UsageError: The header names a column twice, or not at all.
    """
    earlier_limit = csv.field_size_limit(MAX_CELL_CHARS)
    try:
        yield from _read(text, name, "\t" if is_tab else _find_delimiter(text))
    finally:
        csv.field_size_limit(earlier_limit)


def _read(text: str, name: str, delimiter: str) -> Iterator[Row | Reject]:
    cells = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    begins = 1
    while True:
        place = Place(file=name, row=begins)
        try:
            row = next(cells)
        except StopIteration:
            return
        except csv.Error as error:
            yield _broken(place, f"{error}, up to line {cells.line_num}")
            begins = cells.line_num + 1
            continue
        begins = cells.line_num + 1
        if not row:
            continue
        if not header:
            header = [column.strip() for column in row]
            _check_header(header, place)
        elif len(row) != len(header):
            yield _broken(place, f"{len(row)} cells, and the header has {len(header)}")
        else:
            yield Row(values=dict(zip(header, row, strict=True)), place=place)


def _check_header(header: list[str], place: Place) -> None:
    for column in header:
        if not column:
            raise UsageError(f"{place}: a column of the header has no name")
        if header.count(column) > 1:
            raise UsageError(f"{place}: the header names {column!r} twice")


def _find_delimiter(text: str) -> str:
    header = text.split("\n", 1)[0]
    return max((",", ";", "\t"), key=header.count)


def _broken(place: Place, detail: str) -> Reject:
    return Reject(place=place, reason=Reason.BROKEN, detail=detail)
