"""`assistant finetune`: its subcommands. Each imports what it runs when it is called."""

from __future__ import annotations

import click

from assistant.commands.help import ExampleGroup
from finetune.data_command import data

EXAMPLES = (
    "assistant finetune data build pairs.jsonl",
    "assistant finetune data build src/ --name my-code",
    "assistant finetune data preview my-code",
)


@click.group(
    "finetune", cls=ExampleGroup, examples=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
def finetune() -> None:
    """Prepare a model's training on your own code."""


finetune.add_command(data)
