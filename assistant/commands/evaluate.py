"""`assistant evaluate`: measuring models, and comparing what was measured; imported when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

import click

from assistant.commands.help import ExampleGroup

EXAMPLES = (
    "assistant evaluate --limit 20",
    "assistant evaluate my-model smollm2-135m-instruct --plot rates.svg",
    "assistant evaluate my-model --suite mbpp.jsonl[10:110] --n 8",
    "assistant evaluate my-model --suite src/",
    "assistant evaluate --resume",
    "assistant evaluate compare smollm2-135m-instruct my-model",
)
RUN = "run"
"""What is called where the first word names no command: it is a model, or a switch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Where a subcommand is defined, and its help in one line."""

    module: str
    attribute: str
    help: str


PARTS: Mapping[str, Part] = {
    RUN: Part(
        module="assistant.commands.evaluate_run",
        attribute="run",
        help="Measure models; `run` may be left out.",
    ),
    "compare": Part(
        module="assistant.commands.evaluate_compare",
        attribute="compare",
        help="Say whether one is better than another, and how sure.",
    ),
}


class PartGroup(ExampleGroup):
    """Subcommands by name, and measuring for everything else."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `run` before arguments that begin with no subcommand's name; without any, it measures, too."""
        if not args or (args[0] not in PARTS and args[0] not in ("-h", "--help")):
            args = [RUN, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(PARTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        part = PARTS.get(cmd_name)
        return getattr(importlib.import_module(part.module), part.attribute) if part else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, part.help) for name, part in PARTS.items()])


@click.group(
    "evaluate",
    cls=PartGroup,
    examples=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`assistant evaluate run --help` lists what `assistant evaluate MODEL...` takes.",
)
def evaluate() -> None:
    """Say how many problems a model solves; its answers are run.

    `assistant evaluate MODEL...` answers the problems of a suite and judges
    the answers by the suite's tests.
    """
