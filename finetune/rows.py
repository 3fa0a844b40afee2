"""The rows of a run on disk: what the first stage leaves for all that follow. Knows no tokens."""

from __future__ import annotations

import dataclasses
from typing import Any

from finetune.examples import Example, Kind, Place, Reject
from finetune.rundir import RunDir, read_json_lines

STAGE = "prepare"
ROWS_NAME, REJECTS_NAME = "rows.jsonl", "rejects.jsonl"
TRAIN, EVAL = "train", "eval"
"""The two sides of a split."""


def read_rows(run: RunDir) -> list[tuple[Example, str]]:
    """Return a run's rows, each with its side.

    Raises:
        UsageError: They were not prepared, or cannot be read.
    """
    return [row_from_json(row) for row in read_json_lines(run.get_stage(STAGE) / ROWS_NAME)]


def row_to_json(example: Example, split: str) -> dict[str, Any]:
    """Return a row as the file has it."""
    return {
        "split": split,
        "kind": example.kind.value,
        "task": example.task,
        "input": example.input,
        "code": example.code,
        "place": dataclasses.asdict(example.place),
        "families": list(example.families),
        "license": example.license,
    }


def row_from_json(row: dict[str, Any]) -> tuple[Example, str]:
    """Return a row and its side."""
    example = Example(
        task=row["task"],
        input=row["input"],
        code=row["code"],
        place=Place(**row["place"]),
        kind=Kind(row["kind"]),
        families=tuple(row["families"]),
        license=row["license"],
    )
    return example, row["split"]


def reject_to_json(reject: Reject) -> dict[str, Any]:
    """Return a reject as the report has it."""
    return {
        "place": str(reject.place),
        "reason": reject.reason.value,
        "detail": reject.detail,
        "kind": reject.kind.value if reject.kind else None,
        "file": reject.place.file,
        "row": reject.place.row,
    }
