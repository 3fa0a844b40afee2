"""A run's held-out rows through a model as it would be served: the job of `assistant.engine.measure`."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import ModelError
from assistant.models.conversion import MEASURE, run_measuring
from assistant.models.progress import PullProgress
from finetune.base import hash_tokenizer
from finetune.examples import Example
from finetune.gate.measures import RowResult
from finetune.progress import Report, Step
from finetune.rows import EVAL, read_rows
from finetune.rundir import RunDir
from finetune.tokenizing import STAGE as TOKENS
from finetune.tokenizing import read_tokens

_COUNT = re.compile(r"(.*) (\d+)/(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model to measure."""

    name: str
    directory: Path
    serve_format: str
    """In which tasks are put to it."""
    served_as: str = ""
    """As its manifest says."""
    repetition_penalty: float | None = None
    """With which it answers; None for its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """The rows that are measured with: the same for every model."""

    examples: tuple[Example, ...]
    rows: tuple[dict[str, Any], ...]
    """As the job has them."""
    train_format: str
    tokenizer_sha256: str
    """Of the tokenizer that their ids are from."""


MeasureModel = Callable[[Candidate, HeldOut, int, Path, Report], list[RowResult]]
"""Candidate, rows, new tokens at most, a directory for what is needed on the way, progress."""


def choose_held_out(run: RunDir, *, most: int, asked: int, seed: int = 0) -> HeldOut:
    """Choose the rows to measure with.

    Args:
        run: With its data built.
        most: So many rows are scored at most.
        asked: So many of them are answered at most.
        seed: Another one chooses others, where there are more.

    Raises:
        UsageError: The data was not built, or cannot be read.
    """
    record = run.read_record(TOKENS)
    tokens = read_tokens(run, EVAL)
    every = read_rows(run)
    chance = random.Random(seed)
    chosen = sorted(chance.sample(range(len(tokens)), min(most, len(tokens))))
    answered = set(chance.sample(chosen, min(asked, len(chosen))))
    examples = [every[tokens[number].row][0] for number in chosen]
    rows: list[dict[str, Any]] = []
    for place, number in enumerate(chosen):
        example = examples[place]
        row = {"task": example.task, "input": example.input, "code": example.code}
        row |= {"ids": tokens[number].input_ids, "labels": tokens[number].labels}
        if len(chosen) > 1:
            row["other"] = examples[(place + 1) % len(chosen)].code
        rows.append({**row, "ask": number in answered})
    return HeldOut(
        examples=tuple(examples),
        rows=tuple(rows),
        train_format=record["prompt_format"],
        tokenizer_sha256=record["tokenizer_sha256"],
    )


def measure_model(
    candidate: Candidate, held_out: HeldOut, max_new_tokens: int, work: Path, report: Report
) -> list[RowResult]:
    """Measure a model in a process of its own, with the user's engine settings.

    Raises:
        ModelError: It cannot be run.
        OutOfMemoryError: The device has no room for it.
        StorageError: The disk is full.
    """
    rows: Sequence[Mapping[str, Any]] = held_out.rows
    if hash_tokenizer(candidate.directory) != held_out.tokenizer_sha256:
        rows = [{k: v for k, v in row.items() if k not in ("ids", "labels")} for row in rows]
    job = {
        "directory": str(candidate.directory),
        "name": candidate.name,
        "train_format": held_out.train_format,
        "serve_format": candidate.serve_format,
        "served_as": candidate.served_as,
        "repetition_penalty": candidate.repetition_penalty,
        "max_new_tokens": max_new_tokens,
        "rows": rows,
    }
    text = run_measuring(
        MEASURE,
        job,
        work,
        lambda step: report(_build_step(step)),
        what=f"measuring {candidate.name}",
        result="result.jsonl",
    )
    lines = text.splitlines()
    if len(lines) != len(rows):
        raise ModelError(f"measuring {candidate.name} gave {len(lines)} results for {len(rows)} rows")
    return [
        build_result(example, json.loads(line))
        for example, line in zip(held_out.examples, lines, strict=True)
    ]


def build_result(example: Example, result: Mapping[str, Any]) -> RowResult:
    """Return a row's result as measures take it."""
    return RowResult(
        example=example,
        nats=result["nats"],
        tokens=result["tokens"],
        right=result["right"],
        other_nats=result.get("other_nats", 0.0),
        other_tokens=result.get("other_tokens", 0),
        reply=result.get("reply"),
        has_ended=result.get("ended", False),
    )


def _build_step(progress: PullProgress) -> Step:
    counted = _COUNT.fullmatch(progress.stage)
    if counted is None:
        return Step(stage=progress.stage)
    return Step(stage=counted[1], done=int(counted[2]), total=int(counted[3]))
