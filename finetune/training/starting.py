"""Where a training begins: at its first step, or after a checkpoint of one that was started alike.

Knows no torch.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from assistant.models.hashing import hash_file
from finetune.base import Base
from finetune.rundir import RunDir
from finetune.tokenizing import STAGE as TOKENS
from finetune.training.checkpoints import DIRECTORY, Checkpoints
from finetune.training.options import TrainOptions, with_option
from finetune.training.result import STAGE

FREE = ("micro_batch", "gradient_checkpointing", "threads", "tensorboard")
"""Options that may change between sessions: they do not change what is learnt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a training begins."""

    step: int
    """After which checkpoint; 0 for the beginning."""
    is_done: bool = False
    """Whether there is nothing left to do: the one that is asked for has ended."""
    fresh: Mapping[str, Any] | None = None
    """What to note down of a training that begins."""


def find_start(run: RunDir, base: Base, options: TrainOptions, *, resume: bool, replace: bool) -> Start:
    """Return where to begin. Changes nothing on the disk.

    Raises:
        UsageError: An interrupted training is there and nobody said what becomes of it, or what it was
            started with has changed.
    """
    checkpoints = Checkpoints(run.path / DIRECTORY)
    asked = describe_start(run, base, options)
    started = None if replace else checkpoints.read_started()
    done = run.read_record(STAGE) if run.find_stage(STAGE) else None
    if started is not None and done is not None and done["training"] == started["training"]:
        started = None  # it ended just before its checkpoints were removed
    if resume and started is None and done is not None:
        check_unchanged(done["started"], asked)
        return Start(step=0, is_done=True)
    if started is None:
        return Start(step=0, fresh={"training": secrets.token_hex(8), "started": asked})
    newest = checkpoints.find_newest() or 0
    if not resume and newest:
        raise UsageError(
            f"a training of {run.name} was interrupted after step {newest}",
            hint="--resume goes on with it, --replace begins anew",
        )
    if not resume:
        return Start(step=0, fresh={"training": secrets.token_hex(8), "started": asked})
    check_unchanged(started["started"], asked)
    return Start(step=newest)


def describe_start(run: RunDir, base: Base, options: TrainOptions) -> dict[str, Any]:
    """Return what decides over a training's outcome."""
    stage = run.get_stage(TOKENS)
    return {
        "options": asdict(options),
        "base": hash_base(base.directory),
        "data": {side: hash_file(stage / f"{side}.parquet").sha256 for side in ("train", "eval")},
    }


def check_unchanged(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on with something else.

    Raises:
        UsageError: An option, the base or the data changed; the message names each.
    """
    changes = list(_find_changes(before, now))
    if changes:
        raise UsageError(
            f"the training was begun with something else: {'; '.join(changes)}",
            hint="`--resume` without options goes on as it began; --replace begins anew",
        )


def find_started_options(run: RunDir) -> TrainOptions | None:
    """Return the options of a training that was interrupted or has ended, or None."""
    started = Checkpoints(run.path / DIRECTORY).read_started()
    if started is None and run.find_stage(STAGE):
        started = run.read_record(STAGE)
    if started is None:
        return None
    options = TrainOptions()
    for name, value in started["started"]["options"].items():
        options = with_option(options, name, value, "the training's own record")
    return options


def hash_base(directory: Path) -> str:
    """Return a sha256 over a model's configuration and the names, sizes and headers of its weights."""
    digest = hashlib.sha256((directory / "config.json").read_bytes())
    for path in sorted(directory.glob("*.safetensors")):
        with path.open("rb") as file:
            head = file.read(65_536)
        digest.update(json.dumps([path.name, path.stat().st_size]).encode() + head)
    return digest.hexdigest()


def _find_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name, value in now["options"].items():
        earlier = before["options"].get(name)
        if name not in FREE and earlier != value:
            yield f"{name} was {earlier} and is {value}"
    if before["base"] != now["base"]:
        yield "the base model is another"
    if before["data"] != now["data"]:
        yield "the run's data was built anew"
