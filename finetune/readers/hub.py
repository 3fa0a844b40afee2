"""Data sets of the hub, and those that the datasets library saved, into rows.

The library is imported when there is one to read. What it downloads and converts goes into a
directory that the caller gives and removes: nobody's data stays in the library's own cache.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from assistant.errors import DownloadError, UsageError
from finetune.examples import Place
from finetune.readers.values import Row
from finetune.sources import HubSource, SavedSource

if TYPE_CHECKING:
    from finetune.examples import Reject


def read_hub(source: HubSource, split: str, cache_dir: Path) -> Iterator[Row | Reject]:
    """Yield the rows of a split of a data set of the hub.

    Args:
        source: The data set.
        split: Its part: train, most often.
        cache_dir: Where the download goes; the caller removes it.

    Raises:
        DownloadError: It cannot be had.
        UsageError: There is no such split or subset.
    """
    library = _import_datasets()
    try:
        with _downloads_at(cache_dir / "hub"):
            rows = library.load_dataset(
                source.repository,
                source.subset or None,
                split=split,
                revision=source.revision or None,
                cache_dir=str(cache_dir / "datasets"),
            )
    except Exception as error:
        raise _explain(error, source, split) from error
    return _yield_rows(rows, f"{source.name}:{split}")


def read_saved(source: SavedSource, split: str) -> Iterator[Row | Reject]:
    """Yield the rows of a data set that `save_to_disk` wrote; `split` names one where it has several.

    Raises:
        UsageError: It cannot be read, or has no such split.
    """
    library = _import_datasets()
    try:
        saved = library.load_from_disk(str(source.path), keep_in_memory=False)
    except Exception as error:
        raise UsageError(f"{source.path} cannot be read as a saved data set: {error}") from error
    if isinstance(saved, library.DatasetDict):
        splits = cast("dict[str, Any]", saved)
        if split not in splits:
            raise _split_error(source.text, split, list(splits))
        saved = splits[split]
    return _yield_rows(saved, source.name)


def _import_datasets() -> Any:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import datasets  # pyright: ignore[reportMissingTypeStubs]

    library = cast("Any", datasets)
    library.disable_progress_bars()
    library.logging.set_verbosity_error()
    return library


@contextlib.contextmanager
def _downloads_at(directory: Path) -> Generator[None]:
    """Let downloads go there: the library's own `cache_dir` holds for what it converts alone."""
    constants: Any = import_module("huggingface_hub.constants")
    earlier = constants.HF_HUB_CACHE
    constants.HF_HUB_CACHE = str(directory)
    try:
        yield
    finally:
        constants.HF_HUB_CACHE = earlier


def _yield_rows(rows: Any, name: str) -> Iterator[Row | Reject]:
    for number, values in enumerate(rows, start=1):
        yield Row(values=values, place=Place(file=name, row=number, unit="row"))


def _explain(error: Exception, source: HubSource, split: str) -> Exception:
    import datasets  # pyright: ignore[reportMissingTypeStubs]

    exceptions = cast("Any", datasets).exceptions
    text = str(error).strip().split("\n", 1)[0]
    if isinstance(error, exceptions.DatasetNotFoundError):
        return DownloadError(
            f"{source.text} is not there, or this user may not read it: {text}",
            hint="a gated one wants its form accepted on the hub, and HF_TOKEN in the environment",
        )
    if isinstance(error, ValueError) and "split" in text.lower():
        return UsageError(f"{source.text} has no split {split!r}: {text}", hint="name another with --split")
    if isinstance(error, ValueError) and "config" in text.lower():
        return UsageError(f"{source.text}: {str(error).strip()}", hint=f"write {source.name}:SUBSET")
    return DownloadError(
        f"{source.text} cannot be fetched: {text or type(error).__name__}",
        hint="is there a network? a copy on this machine is read as well: name its file or folder",
    )


def _split_error(name: str, split: str, splits: list[str]) -> UsageError:
    return UsageError(
        f"{name} has no split {split!r}", hint=f"--split {splits[0]}; it has {', '.join(splits)}"
    )
