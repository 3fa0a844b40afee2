"""What `assistant finetune DATA...` does, stage by stage, with what a person is told on the way."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from assistant import paths
from assistant.commands.messages import Messages
from assistant.errors import UsageError
from assistant.models.store import ModelStore
from assistant.settings import read_config
from finetune.base import Base, load_tokenizer
from finetune.build_flags import BuildFlags, build_prepare_options, build_tokenize_options
from finetune.building import Built, build_data
from finetune.choosing import choose_base, ensure_base
from finetune.exporting import Exported, export_model
from finetune.gate.gate import render_report
from finetune.gate.suite import open_suite
from finetune.pipeline import NOT_BETTER, Finished, finish_run, finished_to_json, run_training
from finetune.preview import build_views, render_views
from finetune.progress import Report, Step
from finetune.progress_line import render_left
from finetune.pushing import Pushed, prepare_push, push_model
from finetune.reporting import build_summary, render_summary
from finetune.rows import TRAIN
from finetune.run_flags import (
    build_finish_options,
    build_train_options,
    find_resumed,
    read_flags,
    write_flags,
)
from finetune.rundir import RunDir, new_run, runs_dir
from finetune.sources import suggest_run_name
from finetune.tokenizing import STAGE as TOKENS
from finetune.training.options import TrainOptions

PREVIEWED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the command prints and returns."""

    document: dict[str, Any]
    text: str
    exit_code: int = 0


class Running:
    """One call of the command.

    Args:
        flags: The parameters.
        given: Those that stand on the command line.
        messages: Where a person is told what goes on.
        report: Told how far a stage is.
    """

    def __init__(
        self, flags: Mapping[str, Any], given: Collection[str], messages: Messages, report: Report
    ) -> None:
        self._flags: dict[str, Any] = dict(flags)
        self._given = given
        self._messages = messages
        self._report = report

    def check(self) -> Result:
        """Build the data in a place of its own, show all that is known, and keep nothing.

        Raises:
            AssistantError: Data, options or base cannot be used.
        """
        self._require_data()
        options = build_train_options(self._flags)
        self._prepare_suite()
        base = self._find_base()
        runs_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
        run = RunDir(runs_dir() / f".check-{secrets.token_hex(4)}")
        run.name = self._flags["name"] or suggest_run_name(self._flags["data"][0])
        try:
            built = self._build(run, base)
            summary = build_summary(run, built.prepared, built.tokens)
            estimates = estimate_training(run, base, options)
            self._report(Step(stage="choosing rows to show"))
            views = build_views(run, TRAIN, load_tokenizer(base.directory), count=PREVIEWED, seed=0)
            shown = "\n".join(render_views(views, has_color=False))
        finally:
            shutil.rmtree(run.path, ignore_errors=True)
        lines = [line for line in render_summary(summary) if not line.startswith(("card ", "next "))]
        lines += [*render_estimates(estimates), shown]
        kept = {key: value for key, value in summary.items() if key not in ("directory", "card")}
        return Result(document={**kept, "base": base.name, "estimates": estimates}, text="\n".join(lines))

    def run(self) -> Result:
        """Do everything, or what is left of it.

        Raises:
            AssistantError: A stage failed; what was done before it is kept.
            KeyboardInterrupt: The user stopped it.
        """
        if self._flags["resume"]:
            run = find_resumed(self._flags["name"])
            self._flags = read_flags(run, self._flags, self._given)
            options = build_train_options(self._flags)
            self._prepare_push()
            self._prepare_suite()
            base = ensure_base(str(run.read_record(TOKENS)["base"]["name"]), self._report)
            self._messages.tell(f"going on with the run {run.name}; base model: {base.name}")
            write_flags(run, self._flags)
        else:
            run, base, options = self._begin()
        try:
            run_training(run, base, options, self._report, resume=self._flags["resume"])
            finished = finish_run(
                run, base, build_finish_options(self._flags, self._flags["model_name"]), self._report
            )
            exported = [
                export_model(run, base, finished.name, what, self._report) for what in self._exports()
            ]
            pushed = self._push(finished)
        except KeyboardInterrupt:
            self._report(Step(stage=""))
            self._messages.tell(f"interrupted; go on with: assistant finetune --resume --name {run.name}")
            raise
        return build_result(run, finished, exported, pushed)

    def _begin(self) -> tuple[RunDir, Base, TrainOptions]:
        self._require_data()
        options = build_train_options(self._flags)
        self._prepare_push()
        self._prepare_suite()
        name = self._flags["name"]
        run = new_run(
            name, suggestion=suggest_run_name(self._flags["data"][0]), replace=self._flags["replace"]
        )
        if name and not self._flags["replace"]:
            ModelStore(paths.models_dir()).check_free(name)
        self._flags["model_name"] = name
        base = self._find_base()
        built = self._build(run, base)
        write_flags(run, self._flags)
        for line in render_summary(build_summary(run, built.prepared, built.tokens)):
            if not line.startswith("next "):
                self._messages.tell(line)
        for line in render_estimates(estimate_training(run, base, options)):
            self._messages.tell(line)
        self._confirm(run)
        return run, base, options

    def _require_data(self) -> None:
        if not self._flags["data"]:
            raise UsageError(
                "there is no DATA to train on", hint="name a file or a folder; --resume goes on with a run"
            )

    def _find_base(self) -> Base:
        choice = choose_base(self._flags["base"], read_config())
        self._messages.tell(f"base model: {choice.base}, {choice.reason}")
        return ensure_base(choice.base, self._report)

    def _build(self, run: RunDir, base: Base) -> Built:
        flags = cast("BuildFlags", self._flags)
        return build_data(
            run, base, build_prepare_options(flags), build_tokenize_options(flags), self._report
        )

    def _confirm(self, run: RunDir) -> None:
        if self._flags["yes"] or not sys.stdin.isatty():
            return
        self._report(Step(stage=""))
        if not click.confirm("Train now?", default=True, err=True):
            raise UsageError("not trained", hint=f"`assistant finetune --resume --name {run.name}` does")

    def _prepare_push(self) -> None:
        if self._flags["push"]:
            self._report(Step(stage="asking the hub whether this may be pushed"))
            prepare_push(self._flags["push"], public=self._flags["public"])

    def _prepare_suite(self) -> None:
        """Find out before hours of training whether the suite can be read and its answers be run."""
        if self._flags["suite"]:
            self._report(Step(stage="reading the suite"))
            self._flags["suite"] = open_suite(self._flags["suite"]).loaded.source

    def _exports(self) -> list[str]:
        return list(dict.fromkeys(self._flags["export"]))

    def _push(self, finished: Finished) -> Pushed | None:
        if not self._flags["push"]:
            return None
        return push_model(
            finished.directory, self._flags["push"], public=self._flags["public"], report=self._report
        )


def estimate_training(run: RunDir, base: Base, options: TrainOptions) -> dict[str, Any]:
    """Return what a training will take, before anything is loaded.

    Raises:
        AssistantError: It cannot be done on this machine.
    """
    from finetune.training.hardware import choose_setup, find_hardware
    from finetune.training.preflight import find_fit
    from finetune.training.processes import find_processes

    setup = choose_setup(options, find_hardware(options.device))
    fit = find_fit(run, base, setup, find_processes())
    return {
        "device": setup.hardware.name,
        "precision": setup.precision,
        "steps": len(fit.plan.steps),
        "tokens": sum(fit.plan.tokens),
        "trained_parameters": fit.shape.adapter,
        "memory_bytes": fit.memory,
        "free_bytes": setup.hardware.memory,
        "lr": options.lr,
        "seconds": estimate_seconds(base.directory, sum(fit.plan.tokens), setup.hardware.kind),
    }


def estimate_seconds(base: Path, tokens: int, kind: str) -> float:
    """Guess how long training takes, to within a factor of three.

    Forward and backward with a frozen base are some 4 floating-point operations for each weight and token. A
    CPU core does 15 thousand million a second of them in float32, as measured here on 2; a GPU of the last
    years some 30 million million in bfloat16.
    """
    weights = sum(path.stat().st_size for path in base.glob("*.safetensors")) / 2
    speed = 3e13 if kind == "cuda" else 1.5e10 * (os.cpu_count() or 1)
    return 4 * weights * tokens / speed


def render_estimates(estimates: Mapping[str, Any]) -> list[str]:
    """Return the lines for a person."""
    return [
        f"training {estimates['steps']} steps, {estimates['tokens']} tokens, "
        f"{estimates['trained_parameters'] / 1e6:.1f} M trained parameters, highest rate {estimates['lr']:g}",
        f"on       {estimates['device']} in {estimates['precision']}: about "
        f"{estimates['memory_bytes'] / 1e9:.1f} GB of {estimates['free_bytes'] / 1e9:.1f} GB, roughly "
        f"{render_left(estimates['seconds'])}",
    ]


def build_result(run: RunDir, finished: Finished, exported: list[Exported], pushed: Pushed | None) -> Result:
    """Return what the command has to say in the end."""
    lines = render_report(finished.gate) if finished.gate else ["not measured: no row is held out"]
    lines.append(
        f"{finished.name} is the active model; `assistant models rollback` undoes it"
        if finished.is_active
        else "the active model is what it was;"
        f" `assistant models use {finished.name}` puts this one in service"
    )
    lines += [f"{one.what}: {one.path}" for one in exported]
    lines += [f"pushed to {pushed.url}"] if pushed else []
    document = finished_to_json(run, finished)
    document["exports"] = {one.what: str(one.path) for one in exported}
    document["pushed"] = pushed.url if pushed else None
    return Result(document=document, text="\n".join(lines), exit_code=0 if finished.is_better else NOT_BETTER)
