from __future__ import annotations

import click
import pytest
from program import Program

from assistant.commands.group import ENTRIES, build_group


@pytest.mark.parametrize("name", ENTRIES)
def test_the_short_help_in_the_list_is_the_commands_own(name: str) -> None:
    group = build_group()
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.name == name
    assert ENTRIES[name].help == command.get_short_help_str(limit=1000)


@pytest.mark.parametrize("name", ENTRIES)
def test_every_command_has_examples_and_both_help_flags(name: str, program: Program) -> None:
    shorter, longer = program.run(name, "-h"), program.run(name, "--help")
    assert shorter.returncode == longer.returncode == 0
    assert shorter.stdout == longer.stdout
    assert "Example" in longer.stdout
    assert f"assistant {name}" in longer.stdout


@pytest.mark.parametrize("name", ENTRIES)
def test_no_help_is_wider_than_a_terminal(name: str, program: Program) -> None:
    lines = program.run(name, "--help").stdout.splitlines()
    assert len(lines) > 5
    assert [line for line in lines if len(line) > 80] == []
