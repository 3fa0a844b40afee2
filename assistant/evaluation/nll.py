"""How likely a model finds the reference solutions of a suite, by the engine's measuring process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from assistant.errors import ModelError, UsageError
from assistant.evaluation.problems import Problem
from assistant.evaluation.records import NLL_NAME
from assistant.evaluation.row_files import PRIVATE
from assistant.evaluation.summary import Nll
from assistant.evaluation.targets import Target
from assistant.files import write_atomic
from assistant.models.conversion import MEASURE, run_measuring

CHAT, PLAIN_FORMAT = "chat", "python-task"
"""A chat model is measured as its fine-tuned descendants are, so that the two numbers can be compared."""


def read_nll(directory: Path) -> Nll | None:
    """Return what was measured in an evaluation's directory, or None."""
    try:
        return Nll(**json.loads((directory / NLL_NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # not measured; what cannot be read is measured anew


def measure_nll(
    target: Target, problems: Sequence[Problem], directory: Path, report: Callable[[str], None]
) -> Nll:
    """Measure the reference solutions as answers, and keep the result in an evaluation's directory.

    Args:
        target: A model of the store.
        problems: Those without a solution are left out.
        directory: The evaluation's.
        report: Told what is being done.

    Raises:
        UsageError: No problem has a solution, or the model is a foreign server's.
        ModelError: The model cannot be run.
        OutOfMemoryError: The device has no room for it.
        StorageError: The disk is full.
    """
    solved = [problem for problem in problems if problem.solution.strip()]
    if not solved:
        raise UsageError("--nll needs reference solutions, and this suite has none", hint="leave --nll out")
    if target.directory is None:
        raise UsageError("--nll needs a model of the store", hint="leave it out, or unset generator.url")
    job = {
        "directory": str(target.directory),
        "name": target.name,
        "train_format": target.prompt_format if target.prompt_format != CHAT else PLAIN_FORMAT,
        "serve_format": target.prompt_format,
        "served_as": target.served_as,
        "max_new_tokens": 1,
        "rows": [
            {"task": problem.task, "input": problem.input, "code": problem.solution} for problem in solved
        ],
    }
    text = run_measuring(
        MEASURE,
        job,
        directory,
        lambda step: report(step.stage),
        what=f"measuring {target.name}",
        result="result.jsonl",
    )
    rows = [json.loads(line) for line in text.splitlines()]
    tokens = sum(row["tokens"] for row in rows)
    if len(rows) != len(solved) or not tokens:
        raise ModelError(f"measuring {target.name} gave {len(rows)} results for {len(solved)} solutions")
    nll = Nll(problems=len(solved), nats_per_token=sum(row["nats"] for row in rows) / tokens)
    write_atomic(directory / NLL_NAME, json.dumps(asdict(nll)).encode(), mode=PRIVATE)
    return nll
