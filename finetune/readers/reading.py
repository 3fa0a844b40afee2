"""From a source of rows to examples: read it, decide on its columns, turn every row into one or say why not.

A file whose syntax is broken is refused unless the user says that such rows may be left out: they show that
the file is not what it should be, while a row with a null in it shows no more than that row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from assistant.errors import UsageError
from finetune.examples import Example, Reason, Reject
from finetune.progress import Report, Step, report_nothing
from finetune.readers.columns import find_columns
from finetune.readers.delimited import read_delimited
from finetune.readers.json_files import read_json_document, read_json_lines
from finetune.readers.parquet import read_parquet
from finetune.readers.rows import build_example
from finetune.readers.text_file import UTF_8, read_text
from finetune.readers.values import Row
from finetune.sources import FileSource, HubSource, RowSlice, SavedSource

PROBED_ROWS = 1000
"""The columns are those of so many rows: in JSON a row need not have them all."""
MAX_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """How to read the user's data."""

    mapping: dict[str, str] = field(default_factory=dict[str, str])
    """Columns by role, as `parse_map` returns them."""
    encoding: str = UTF_8
    """Of text files."""
    split: str = "train"
    """Of data sets that have several."""
    split_rows: RowSlice | None = None
    """Which rows of the split; a source's own slice is taken of them."""
    skip_bad: bool = False
    """Leave out rows whose syntax is broken instead of refusing the file."""


def read_examples(
    source: FileSource | SavedSource | HubSource,
    options: ReadOptions,
    *,
    cache_dir: Path,
    report: Report = report_nothing,
) -> Iterator[Example | Reject]:
    """Yield the examples of a source in its order, and what is none.

    Args:
        source: Where to read.
        options: How.
        cache_dir: Where a download goes; the caller removes it.
        report: Told how far it is.

    Raises:
        UsageError: It cannot be read, is broken, or its columns are not known.
        DownloadError: It cannot be fetched.
    """
    report(Step(stage=f"reading {source.text}"))
    found = list(_read(source, options, cache_dir))
    rows = found if isinstance(source, FileSource) else _cut(found, options.split_rows)
    rows = _cut(rows, source.rows)
    if not found:
        raise UsageError(f"{source.text} has no rows", hint="it should hold rows to learn from")
    if not rows:
        raise UsageError(f"{source.text} takes none of the {len(found)} rows", hint="[:100] takes the first")
    broken = [row for row in rows if isinstance(row, Reject)]
    if broken and not options.skip_bad:
        raise _broken_error(broken, len(rows))
    names = [name for row in rows[:PROBED_ROWS] if isinstance(row, Row) for name in row.values]
    if not names:
        raise _broken_error(broken, len(rows)) if broken else UsageError(f"{source.text} has no columns")
    columns = find_columns(names, options.mapping, source.text)
    for row in rows:
        yield row if isinstance(row, Reject) else build_example(row, columns)


def _read(
    source: FileSource | SavedSource | HubSource, options: ReadOptions, cache_dir: Path
) -> Iterator[Row | Reject]:
    from finetune.readers import hub  # late: what a file does not need

    match source:
        case FileSource():
            return _read_file(source, options)
        case SavedSource():
            return hub.read_saved(source, options.split)
        case HubSource():
            return hub.read_hub(source, options.split, cache_dir)
        case _:
            assert_never(source)


def _read_file(source: FileSource, options: ReadOptions) -> Iterator[Row | Reject]:
    path, name = source.path, source.name
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return read_parquet(path, name)
    text = read_text(path, options.encoding)
    if suffix in (".csv", ".tsv"):
        return read_delimited(text, name, is_tab=suffix == ".tsv")
    return read_json_document(text, name) if suffix == ".json" else read_json_lines(text, name)


def _cut(rows: list[Row | Reject], some: RowSlice | None) -> list[Row | Reject]:
    return rows if some is None else [rows[number] for number in some.resolve(len(rows))]


def _broken_error(broken: list[Reject], total: int) -> UsageError:
    first = "; ".join(f"{reject.place}: {reject.detail}" for reject in broken[:MAX_NAMED])
    more = f"; and {len(broken) - MAX_NAMED} more" if len(broken) > MAX_NAMED else ""
    share = f" ({len(broken)} of {total} rows are broken)"
    return UsageError(
        f"{first}{more}{share}",
        hint="mend them; --skip-bad leaves them out" if broken[0].reason is Reason.BROKEN else "",
    )
