"""A data set of the hub into problems: its JSON Lines and Parquet files, all of them as one list.

Rows that have a `task_id`, as MBPP's, are put in the order of it, so that a slice means the same for the
hub's four files and for the one that the authors published.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from assistant.errors import UsageError
from assistant.evaluation.problems import Problem
from assistant.evaluation.suite_rows import build_problems, list_rows
from assistant.models.hub_repository import explain_hub_error, find_endpoint, hub_failures, import_hub
from assistant.models.sources import HubSource, parse_source

MAIN_SUBSET = "full"
"""Taken where there is a folder of that name and no other is asked for: MBPP's larger half."""


def read_hub(text: str) -> list[Problem]:
    """Return the problems of a data set.

    Args:
        text: `hub:org/name`, with `@revision` and `:subset` behind it where they are meant.

    Raises:
        UsageError: It is no name, or holds no rows that make problems.
        DownloadError: It cannot be had.
    """
    name, _, subset = text.removeprefix("hub:").partition(":")
    source = parse_source(f"hub:{name}")
    assert isinstance(source, HubSource)
    with tempfile.TemporaryDirectory(prefix="suite-") as directory:
        rows = list(_fetch_rows(source, subset, Path(directory), text))
    if all(isinstance(row.get("task_id"), int) for _, row in rows):
        rows.sort(key=lambda item: item[1]["task_id"])
    return build_problems(rows)


def _fetch_rows(
    source: HubSource, subset: str, directory: Path, text: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    hub = import_hub()
    place = {"repo_type": "dataset", "revision": source.revision or None}
    try:
        api = hub.HfApi(endpoint=find_endpoint(), library_name="assistant")
        files: list[str] = api.list_repo_files(source.repository, **place)
        for file in _choose_files(files, subset, text):
            path = Path(api.hf_hub_download(source.repository, file, cache_dir=directory, **place))
            for number, row in enumerate(_read_rows(path, f"{text}/{file}"), start=1):
                yield f"{text}/{file} row {number}", row
    except hub_failures() as error:
        raise explain_hub_error(error, source) from error


def _choose_files(files: list[str], subset: str, text: str) -> list[str]:
    kept = sorted(file for file in files if file.endswith((".jsonl", ".parquet")))
    folders = {file.split("/")[0] for file in kept if "/" in file}
    folder = subset or (MAIN_SUBSET if MAIN_SUBSET in folders else "")
    chosen = [file for file in kept if file.startswith(f"{folder}/")] if folder else kept
    if not chosen:
        hint = (
            f"it has {', '.join(sorted(folders))}" if folders else "it holds no .jsonl and no .parquet file"
        )
        raise UsageError(f"{text} has no rows to read", hint=hint)
    return chosen


def _read_rows(path: Path, name: str) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        rows = [row for _, row in list_rows(path.read_text(encoding="utf-8"), name)]
        return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
    parquet = import_module("pyarrow.parquet")  # late: costs a while
    return parquet.read_table(path).to_pylist()
