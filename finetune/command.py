"""`assistant finetune`: the whole run, and its stages as subcommands, imported when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

import click

from assistant.commands.help import ExampleGroup

EXAMPLES = (
    "assistant finetune pairs.jsonl --check",
    "assistant finetune src/ --name my-code",
    "assistant finetune hub:iamtarun/python_code_instructions_18k_alpaca",
    "assistant finetune --resume --name my-code",
)
RUN = "run"
"""What is called where the first word names no stage: it is data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a subcommand is defined, and its help in one line."""

    module: str
    attribute: str
    help: str


STAGES: Mapping[str, Stage] = {
    RUN: Stage(module="finetune.run_command", attribute="run", help="All stages; `run` may be left out."),
    "data": Stage(
        module="finetune.data_command", attribute="data", help="Build, inspect and preview training data."
    ),
    "train": Stage(
        module="finetune.training.command", attribute="train", help="Train an adapter on a run's data."
    ),
    "merge": Stage(
        module="finetune.finish_commands", attribute="merge", help="Merge a run's adapter into its base."
    ),
    "push": Stage(
        module="finetune.finish_commands", attribute="push", help="Put a model into a repository of the hub."
    ),
}


class StageGroup(ExampleGroup):
    """Stages by name, and the whole run for everything else."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` before arguments that begin with no stage's name."""
        if args and args[0] not in STAGES and args[0] not in ("-h", "--help"):
            args = [RUN, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the work."""
        return list(STAGES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a stage's command."""
        stage = STAGES.get(cmd_name)
        return getattr(importlib.import_module(stage.module), stage.attribute) if stage else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, stage.help) for name, stage in STAGES.items()])


@click.group(
    "finetune",
    cls=StageGroup,
    examples=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`assistant finetune run --help` lists what `assistant finetune DATA...` takes.",
)
def finetune() -> None:
    """Train a model on your own code; use it if it is better.

    `assistant finetune DATA...` does all of it; the commands are its stages.
    """
