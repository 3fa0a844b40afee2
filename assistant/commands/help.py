"""How a command presents itself: examples before everything else, as people read them first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


class ExampleCommand(click.Command):
    """A command whose help begins with examples.

    Args:
        examples: Lines of a shell, each with a comment where it needs one.
        **attributes: As `click.Command` takes them.
    """

    def __init__(self, *, examples: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(**attributes)
        self.examples = tuple(examples)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the text."""
        write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)


class ExampleGroup(click.Group):
    """A group whose help begins with examples; see `ExampleCommand`."""

    command_class = ExampleCommand

    def __init__(self, *, examples: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(**attributes)
        self.examples = tuple(examples)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the text."""
        write_examples(self.examples, formatter)
        super().format_help_text(ctx, formatter)


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Write lines as they are: a shell line that is wrapped cannot be copied."""
    if not examples:
        return
    formatter.write_paragraph()
    formatter.write("Examples:\n")
    for line in examples:
        formatter.write(f"  {line}\n")
