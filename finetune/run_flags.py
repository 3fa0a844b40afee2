"""The flags of `assistant finetune DATA...`, and the file that `--resume` reads them from. Knows no click."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from assistant.errors import UsageError
from assistant.files import write_atomic
from finetune.build_flags import BuildFlags
from finetune.gate.gate import GateOptions
from finetune.pipeline import FinishOptions
from finetune.rundir import PRIVATE, RunDir, find_runs, open_run
from finetune.training.options import TrainOptions, build_options

FILE_NAME = "command.json"
KEPT = (
    "base", "preset", "config", "sets", "export", "push", "public", "no_activate", "margin", "gate_rows",
    "gate_answers", "gate_tokens", "suite", "model_name",
)  # fmt: skip
"""What a resumed run goes on with, unless it is said anew."""


class RunFlags(BuildFlags):
    """The parameters of `run`, as click hands them over."""

    preset: str
    config: str | None
    sets: tuple[str, ...]
    check: bool
    resume: bool
    export: tuple[str, ...]
    push: str
    public: bool
    no_activate: bool
    margin: float | None
    gate_rows: int | None
    gate_answers: int | None
    gate_tokens: int | None
    suite: str
    yes: bool


def build_train_options(flags: Mapping[str, Any]) -> TrainOptions:
    """Return how to train.

    Raises:
        UsageError: A file, key or value cannot be used.
    """
    config = Path(flags["config"]) if flags["config"] else None
    return build_options(flags["preset"], config, tuple(flags["sets"]))


def build_finish_options(flags: Mapping[str, Any], name: str) -> FinishOptions:
    """Return what becomes of the adapter; the model is called `name`, or by default after base and run."""
    given = {
        "margin": flags["margin"],
        "rows": flags["gate_rows"],
        "answers": flags["gate_answers"],
        "max_new_tokens": flags["gate_tokens"],
        "suite": flags["suite"] or None,
    }
    gate = GateOptions(**{key: value for key, value in given.items() if value is not None})
    return FinishOptions(name=name, gate=gate, activate=not flags["no_activate"])


def write_flags(run: RunDir, flags: Mapping[str, Any]) -> None:
    """Note in a run's directory how it was begun.

    Raises:
        StorageError: It could not be written.
    """
    kept = {name: flags[name] for name in KEPT}
    if kept["config"]:
        kept["config"] = str(Path(kept["config"]).absolute())
    write_atomic(run.path / FILE_NAME, (json.dumps(kept, indent=2) + "\n").encode(), mode=PRIVATE)


def read_flags(run: RunDir, flags: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Return the flags of a resumed run: those it was begun with, and those given now over them.

    Raises:
        UsageError: It was not begun by this command, or its file is damaged.
    """
    path = run.path / FILE_NAME
    try:
        document: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{run.name} was not begun by `assistant finetune DATA`: {path} cannot be read",
            hint=f"its stages can be run alone: `assistant finetune train {run.name}`",
        ) from error
    kept = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    return {**flags, **{name: kept[name] for name in KEPT if name in kept and name not in given}}


def find_resumed(name: str) -> RunDir:
    """Return the run to go on with: the one named, else the newest that was begun and whose data is built.

    Raises:
        UsageError: There is none.
    """
    if name:
        return open_run(name)
    begun = [run for found in find_runs() if ((run := open_run(found)).path / FILE_NAME).is_file()]
    if not begun:
        raise UsageError("there is no run to go on with", hint="`assistant finetune DATA...` begins one")
    return begun[0]
