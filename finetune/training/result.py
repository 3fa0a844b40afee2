"""What a training came to. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from finetune.rundir import RunDir

STAGE = "train"
ADAPTER = "adapter"
"""The directory of the adapter in a run, in PEFT's own format."""
METRICS_NAME = "metrics.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """The numbers of a training that went to its end."""

    steps: int
    """Optimiser steps that were made; fewer than planned where it stopped early."""
    best_step: int
    """The step whose adapter was kept: with the lowest loss on the held-out rows, or the last."""
    loss: float
    """On the training rows of the last step, in nats per token."""
    eval_loss: float | None
    """Of the adapter that was kept, on the held-out rows, in nats per token; None where none are held out."""
    tokens_per_s: float
    """Tokens of rows, padding not counted, over the time in which steps were made."""
    peak_memory: int
    """Bytes: of the device on a GPU, of the process on a CPU."""
    minutes: float
    """All sessions together, where it was resumed."""

    def to_json(self) -> dict[str, Any]:
        """Return it as the stage's record holds it."""
        return asdict(self)


def result_from_json(record: Mapping[str, Any]) -> TrainResult:
    """Return the result in a stage's record."""
    return TrainResult(**{name: record[name] for name in TrainResult.__slots__})


def build_summary(run: RunDir, result: TrainResult) -> dict[str, Any]:
    """Return what a program is told of a training that went to its end."""
    return {
        "schema": 1,
        "run": run.name,
        "adapter": str(run.path / ADAPTER),
        "metrics": str(run.path / METRICS_NAME),
        **result.to_json(),
    }
