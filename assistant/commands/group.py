"""`assistant` itself: which commands there are. A command's module is imported when it is called.

Names and one-line helps stand here a second time so that `assistant --help` imports none of them; a test
holds the two to be the same.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from assistant import __version__
from assistant.commands.parts import Part, PartGroup
from assistant.errors import UsageError

PROGRAM = "assistant"
COMPLETION_VARIABLE = "_ASSISTANT_COMPLETE"
"""Set by the scripts that `assistant completion` prints."""

EXAMPLES = (
    f'{PROGRAM} ask "read a CSV file and sum its second column"',
    f'git diff | {PROGRAM} ask "write tests for this change"',
)


def _entry(module: str, attribute: str, short_help: str) -> Part:
    return Part(module=f"assistant.commands.{module}", attribute=attribute, help=short_help)


ENTRIES: Mapping[str, Part] = {
    "ask": _entry("ask", "ask", "Write Python code for one task."),
    "chat": Part(
        module="tui.command",
        attribute="chat",
        help="Open the chat in this terminal; `assistant` alone does the same.",
    ),
    "lsp": Part(
        module="lsp.command", attribute="lsp", help="Offer code actions to an editor: it starts this itself."
    ),
    "finetune": Part(
        module="finetune.command",
        attribute="finetune",
        help="Train a model on your own code; use it if it is better.",
    ),
    "evaluate": _entry("evaluate", "evaluate", "Say how many problems a model solves; its answers are run."),
    "bench": _entry("bench", "bench", "Measure how fast a model answers here, and in how much memory."),
    "history": _entry("history", "history", "List, search, show, export and delete what was asked."),
    "models": _entry("models", "models", "List, fetch, choose and remove models."),
    "config": _entry("config", "config", "Show and change settings."),
    "doctor": _entry("doctor", "doctor", "Say what this machine can run and what is wrong."),
    "serve": _entry("serve", "serve", "Run the generator in this terminal."),
    "status": _entry("serve", "status", "Say what the generator does."),
    "stop": _entry("serve", "stop", "End the generator."),
    "completion": _entry("completion", "completion", "Print a script for completion in a shell."),
}


class ProgramGroup(PartGroup):
    """The commands of the whole program; one that is not there gets a suggestion."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is called.

        Raises:
            UsageError: There is none of that name.
        """
        if args[0] not in self.parts and not ctx.resilient_parsing:
            raise _unknown_command(args[0])
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Complete a command's name without importing any."""
        from click.shell_completion import CompletionItem

        items = [
            CompletionItem(name, help=part.help)
            for name, part in self.parts.items()
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]


def build_group() -> ProgramGroup:
    """Build `assistant`."""
    version = click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
    group = ProgramGroup(
        name=PROGRAM,
        parts=ENTRIES,
        examples=EXAMPLES,
        help="Python code from a language model on your own machine. Nothing leaves it.",
        epilog=f"`{PROGRAM} COMMAND --help` says more about each command.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    return version(group)


def run_group(arguments: list[str]) -> int:
    """Run a command and return its exit code.

    Raises:
        AssistantError: The command failed.
        click.ClickException: The arguments are wrong.
    """
    if COMPLETION_VARIABLE in os.environ:
        return complete_words(os.environ[COMPLETION_VARIABLE])
    group = build_group()
    if _is_terminal() and (not arguments or arguments[0].partition("=")[0] == "--input-file"):
        arguments = ["chat", *arguments]
    if not arguments:
        context = click.Context(group, info_name=PROGRAM, help_option_names=["-h", "--help"])
        click.echo(group.get_help(context), err=True)
        return UsageError.exit_code
    try:
        with group.make_context(PROGRAM, arguments) as context:
            result = group.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return result if isinstance(result, int) else 0


def _is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def complete_words(instruction: str) -> int:
    """Answer a shell.

    Args:
        instruction: `bash_complete` to complete the line in the environment, `bash_source` for the script
            that does so, and the same for zsh and fish.
    """
    from click.shell_completion import shell_complete

    return shell_complete(build_group(), {}, PROGRAM, COMPLETION_VARIABLE, instruction)


def _unknown_command(name: str) -> UsageError:
    if any(character.isspace() for character in name):
        return UsageError("the command is missing before the task", hint=f'{PROGRAM} ask "…"')
    nearest = difflib.get_close_matches(name, ENTRIES, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}?" if nearest else f"`{PROGRAM} --help` lists the commands"
    return UsageError(f"there is no command {name}", hint=hint)
