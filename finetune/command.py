"""`assistant finetune`: the whole run, and its stages as subcommands, imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping

import click

from assistant.commands.parts import Part, PartGroup

EXAMPLES = (
    "assistant finetune pairs.jsonl --check",
    "assistant finetune src/ --name my-code",
    "assistant finetune hub:iamtarun/python_code_instructions_18k_alpaca",
    "assistant finetune --resume --name my-code",
)
RUN = "run"
"""What is called where the first word names no stage: it is data."""


STAGES: Mapping[str, Part] = {
    RUN: Part(module="finetune.run_command", attribute="run", help="All stages; `run` may be left out."),
    "data": Part(
        module="finetune.data_command", attribute="data", help="Build, inspect and preview training data."
    ),
    "train": Part(
        module="finetune.training.command", attribute="train", help="Train an adapter on a run's data."
    ),
    "merge": Part(
        module="finetune.finish_commands", attribute="merge", help="Merge a run's adapter into its base."
    ),
    "push": Part(
        module="finetune.finish_commands", attribute="push", help="Put a model into a repository of the hub."
    ),
}


@click.group(
    "finetune",
    cls=PartGroup,
    parts=STAGES,
    default=RUN,
    examples=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`assistant finetune run --help` lists what `assistant finetune DATA...` takes.",
)
def finetune() -> None:
    """Train a model on your own code; use it if it is better.

    `assistant finetune DATA...` does all of it; the commands are its stages.
    """
