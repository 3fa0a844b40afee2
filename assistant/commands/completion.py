"""`assistant completion`: the script that makes a shell complete commands, flags and setting names."""

from __future__ import annotations

import click

from assistant.commands.help import ExampleCommand

EXAMPLES = (
    'eval "$(assistant completion bash)"    # in ~/.bashrc',
    'eval "$(assistant completion zsh)"     # in ~/.zshrc',
    "assistant completion fish > ~/.config/fish/completions/assistant.fish",
)


@click.command("completion", cls=ExampleCommand, examples=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
def completion(shell: str) -> int:
    """Print a script for completion in a shell."""
    from assistant.commands.group import complete_words

    return complete_words(f"{shell}_source")
