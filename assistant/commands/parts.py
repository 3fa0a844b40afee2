"""A group whose commands are imported when they are called: what its help says stands beside their places."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from assistant.commands.help import ExampleGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Where a command is defined, and its help in one line."""

    module: str
    attribute: str
    help: str


class PartGroup(ExampleGroup):
    """Commands by name and, where one is the default, that one for everything else.

    Args:
        parts: By name, in the order in which they are shown.
        default: Put before arguments that begin with no command's name; empty for none.
        is_bare_default: Without any argument, too; else that shows the help.
        **attributes: As `ExampleGroup` takes them.
    """

    def __init__(
        self,
        *,
        parts: Mapping[str, Part],
        default: str = "",
        is_bare_default: bool = False,
        **attributes: Any,
    ) -> None:
        super().__init__(**attributes)
        self.parts = parts
        self._default = default
        self._is_bare_default = is_bare_default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default before arguments that begin with no command's name."""
        names_none = args[0] not in (*self.parts, "-h", "--help") if args else self._is_bare_default
        if self._default and names_none:
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(self.parts)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        part = self.parts.get(cmd_name)
        return getattr(importlib.import_module(part.module), part.attribute) if part else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, part.help) for name, part in self.parts.items()])
