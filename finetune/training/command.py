"""`assistant finetune train`. Flags become options; the work is elsewhere."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assistant.commands.failures import INTERRUPTED
from assistant.commands.help import ExampleCommand
from assistant.commands.options import whole_number_between
from finetune.data_command import run_argument
from finetune.training.options import PRESETS, describe_options

if TYPE_CHECKING:
    from assistant.commands.messages import Messages
    from finetune.base import Base
    from finetune.progress import Report
    from finetune.rundir import RunDir
    from finetune.training.options import TrainOptions

EXAMPLES = (
    "assistant finetune train my-code",
    "assistant finetune train my-code --set epochs=2 --set lr=1e-4",
    "assistant finetune train my-code --resume",
    "assistant finetune train my-code --processes 2",
)


def _render_keys() -> str:
    """Return every key with its default and its help, as the end of the command's help."""
    defaults = PRESETS["default"]
    lines = ["\b", "Keys of --set and --config, with what the preset default has:"]
    for name, text in describe_options():
        value = getattr(defaults, name)
        shown = str(value).lower() if isinstance(value, bool) else value
        lines.append(f"  {name}={shown}\n      {text}")
    return "\n".join(lines) + "\n"


@click.command("train", cls=ExampleCommand, examples=EXAMPLES, epilog=_render_keys())
@run_argument
@click.option("--base", default="", metavar="MODEL", help="The model to train; by default that of the data.")
@click.option("--preset", type=click.Choice(list(PRESETS)), metavar="NAME", help=f"{' or '.join(PRESETS)}.")
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="TOML with keys as below.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One key; counts more than the file.")
@click.option("--check", is_flag=True, help="Try everything, one step too, and say what it will take.")
@click.option("--resume", is_flag=True, help="Go on after the newest checkpoint.")
@click.option("--replace", is_flag=True, help="Begin anew though there are checkpoints.")
@click.option(
    "--processes", metavar="N", callback=whole_number_between(1, 1024), help="As many, by accelerate; 1."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def train(**flags: Any) -> None:
    """Train an adapter on a run's data."""
    # Late: `--help` needs none of it.
    from assistant.commands.messages import Messages
    from finetune.rundir import open_run
    from finetune.training.processes import find_processes

    if (flags["processes"] or 1) > 1:
        sys.exit(_launch(flags))
    is_main = find_processes().is_main
    messages = Messages(sys.stderr, is_quiet=not is_main)
    run = open_run(flags["run"])
    base = _find_base(run, flags["base"])
    messages.tell(f"training {base.name} on {run.name}")
    summary = _train(run, base, messages, flags)
    if is_main:
        _write(summary, as_json=flags["as_json"])


def _train(run: RunDir, base: Base, messages: Messages, flags: dict[str, Any]) -> dict[str, Any]:
    import contextlib

    from finetune.progress_line import showing_steps
    from finetune.training.interrupting import TrainingInterrupted
    from finetune.training.processes import find_processes
    from finetune.training.result import build_summary
    from finetune.training.train import check_run, train_run

    options = _choose_options(run, flags)
    resume, replace = flags["resume"], flags["replace"]
    try:
        with showing_steps(messages) as show:
            report = show if messages.has_status else _report_tenths(messages)
            if flags["check"]:
                return check_run(run, base, options, report)
            with run.locked() if find_processes().is_main else contextlib.nullcontext():
                result = train_run(run, base, options, report, resume=resume, replace=replace)
        return build_summary(run, result)
    except TrainingInterrupted as stopped:
        messages.tell(f"{stopped}; a checkpoint is written; to go on: {stopped.resume_command}")
        raise


def _choose_options(run: RunDir, flags: dict[str, Any]) -> TrainOptions:
    from finetune.training.options import build_options
    from finetune.training.starting import find_started_options

    has_any = flags["preset"] or flags["config"] or flags["sets"]
    started = find_started_options(run) if flags["resume"] and not has_any else None
    return started or build_options(flags["preset"] or "default", flags["config"], flags["sets"])


def _find_base(run: RunDir, name: str) -> Base:
    from assistant.errors import UsageError
    from finetune.base import find_base
    from finetune.tokenizing import STAGE

    if name:
        return find_base(name)
    record = run.read_record(STAGE)["base"]
    try:
        return find_base(record["name"])
    except UsageError:
        return find_base(record["directory"])


def _report_tenths(messages: Messages) -> Report:
    """Return what tells of every tenth of a long stage, where no line can be rewritten."""
    from finetune.progress import Step

    told: dict[str, int] = {}

    def report(step: Step) -> None:
        tenth = 10 * step.done // step.total if step.total else 0
        if step.stage == "training" and step.detail and told.get(step.stage) != tenth:
            told[step.stage] = tenth
            messages.tell(f"step {step.done} of {step.total}: {step.detail}")

    return report


def _launch(flags: dict[str, Any]) -> int:
    """Run this command in several processes; they share what a step takes."""
    import subprocess

    arguments = [flags["run"]]
    for name in ("base", "preset", "config"):
        arguments += [f"--{name}", str(flags[name])] if flags[name] else []
    for text in flags["sets"]:
        arguments += ["--set", text]
    switches = ("check", "resume", "replace")
    arguments += [f"--{name}" for name in switches if flags[name]]
    arguments += ["--json"] if flags["as_json"] else []
    count = flags["processes"]
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(count)]
    # On a CPU too: without multi_gpu it starts one process alone, and leaves the others to MPI.
    launcher += ["--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    if "OMP_NUM_THREADS" not in os.environ:
        launcher += ["--num_cpu_threads_per_process", str(max(1, (os.cpu_count() or 1) // count))]
    process = subprocess.Popen([*launcher, "-m", "finetune.training", *arguments])
    is_interrupted = False
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            is_interrupted = True  # the processes had it too: they write a checkpoint first
            continue
        return INTERRUPTED if is_interrupted and code else code


def _write(summary: dict[str, Any], *, as_json: bool) -> None:
    from assistant.commands.output import Output

    if as_json:
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
    else:
        text = "".join(f"{name.replace('_', ' '):<24}{_show(value)}\n" for name, value in summary.items())
    Output(sys.stdout).write_text(text)


def _show(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
