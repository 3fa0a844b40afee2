"""What a user names as data: parsing alone, nothing is opened but to see what it is.

data.jsonl            a file: .jsonl .ndjson .json .csv .tsv .parquet
data.jsonl[600:974]   some of its rows, counted from 0; also [:10%] and [-100:]
src/                  a folder of Python code, or one file of it
saved/                a folder that the datasets library saved
hub:org/name@revision:subset[:10%]   a data set of the hub, its split named elsewhere
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from assistant.errors import UsageError
from assistant.evaluation.slices import RowSlice, split_slice
from assistant.models import sources as model_sources

FORMATS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
SOURCE_FORMS = f"a file ({' '.join(FORMATS)}), a folder of Python code, or hub:org/name"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A data file."""

    text: str
    """As the user wrote it."""
    name: str
    """The same without the slice."""
    path: Path
    rows: RowSlice = field(default_factory=RowSlice)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSource:
    """A folder of Python code, or one file."""

    text: str
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSource:
    """A folder that the datasets library saved."""

    text: str
    name: str
    path: Path
    rows: RowSlice = field(default_factory=RowSlice)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubSource:
    """A data set of the hub."""

    text: str
    name: str
    repository: str
    revision: str = ""
    subset: str = ""
    rows: RowSlice = field(default_factory=RowSlice)


Source = FileSource | CodeSource | SavedSource | HubSource


def parse_source(text: str) -> Source:
    """Turn what a user wrote into a source.

    Raises:
        UsageError: It is none; the message says what is wrong with it.
    """
    if text.startswith("hub:"):
        return _parse_hub(text)
    if Path(text).expanduser().exists():
        return _parse_path(text, text, None)
    name, rows = split_slice(text)
    if not name or not Path(name).expanduser().exists():
        raise UsageError(f"there is no file or folder {name or text!r}", hint=f"data is {SOURCE_FORMS}")
    return _parse_path(text, name, rows)


def parse_split(text: str) -> tuple[str, RowSlice | None]:
    """Turn `train[:10%]` into the split's name and the rows.

    Raises:
        UsageError: It is no split.
    """
    name, rows = split_slice(text)
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise UsageError(f"{text!r} is no split", hint="write train, or train[:10%]")
    return name, rows


def _parse_path(text: str, name: str, rows: RowSlice | None) -> Source:
    path = Path(name).expanduser().absolute()
    if path.is_dir():
        if any((path / mark).is_file() for mark in ("dataset_dict.json", "state.json")):
            return SavedSource(text=text, name=name, path=path, rows=rows or RowSlice())
    elif path.suffix.lower() in FORMATS:
        return FileSource(text=text, name=name, path=path, rows=rows or RowSlice())
    elif path.suffix != ".py":
        raise UsageError(f"{name}: the name does not end like a data file's", hint=f"data is {SOURCE_FORMS}")
    if rows is not None:
        raise UsageError(f"{text}: code has no rows to take a slice of", hint=f"write {name}")
    return CodeSource(text=text, path=path)


def _parse_hub(text: str) -> HubSource:
    name, rows = split_slice(text)
    place, colon, subset = name.removeprefix("hub:").partition(":")
    if colon and not re.fullmatch(r"[\w.-]+", subset):
        raise UsageError(f"{text} names no subset after the colon", hint="write hub:org/name:subset")
    parsed = model_sources.parse_source(f"hub:{place}")
    assert isinstance(parsed, model_sources.HubSource)
    return HubSource(
        text=text,
        name=name,
        repository=parsed.repository,
        revision=parsed.revision,
        subset=subset,
        rows=rows or RowSlice(),
    )


def suggest_run_name(text: str) -> str:
    """Return what a run on such data may be called: the last part of its name."""
    name = text.removeprefix("hub:").split("[", 1)[0].rstrip("/")
    return name.rsplit("/", 1)[-1].rsplit(".", 1)[0] or "data"
