"""Parquet into rows. pyarrow is imported when there is a file to read."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import UsageError
from finetune.examples import Place
from finetune.readers.values import Row

if TYPE_CHECKING:
    from finetune.examples import Reject

BATCH_ROWS = 1024


def read_parquet(path: Path, name: str) -> Iterator[Row | Reject]:
    """Yield the rows of a Parquet file.

    Raises:
        UsageError: It is none, or it is damaged.
    """
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    if path.stat().st_size == 0:
        raise UsageError(f"{name} is empty", hint="it should hold rows to learn from")
    number = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(values=values, place=Place(file=name, row=number, unit="row"))
    except (arrow.ArrowException, OSError) as error:
        where = f" after row {number}" if number else ""
        raise UsageError(f"{name} cannot be read as Parquet{where}: {error}") from error
