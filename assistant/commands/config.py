"""`assistant config`: what the settings are, where each comes from, and changing the user's file."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant import config as settings_module
from assistant import paths
from assistant.commands.help import ExampleGroup
from assistant.commands.messages import Messages
from assistant.commands.output import Output
from assistant.settings import read_settings

if TYPE_CHECKING:
    from assistant.settings import Settings

EXAMPLES = (
    "assistant config show --origin",
    "assistant config set sampling.temperature 0.2",
    "assistant config set generator.url http://127.0.0.1:8000/v1",
    "assistant config unset generator.url",
)

EPILOG = """\
\b
A value comes from, later ones winning:
  the defaults
  the user's file (`assistant config path`)
  .assistant.toml in this directory or above, [sampling] alone
  the environment: ASSISTANT_SECTION_KEY
A flag of a command wins over all of them.
"""

SCHEMA = 1
_USER_PART = re.compile(r"(?<=://)[^/@]*@")


def _complete_name(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in settings_module.setting_names() if name.startswith(incomplete)]


_key_argument = click.argument("key", metavar="KEY", shell_complete=_complete_name)


@click.group("config", cls=ExampleGroup, examples=EXAMPLES, epilog=EPILOG)
def config() -> None:
    """Show and change settings."""


@config.command("show")
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with help and origins.")
def show(*, origin: bool, as_json: bool) -> None:
    """Print every setting and what it means, as a file that could be the configuration."""
    settings = _read_settings()
    lines = _render_json(settings) if as_json else "\n".join(_render_toml(settings, with_origin=origin))
    Output(sys.stdout).write_text(lines + "\n")


@config.command("get")
@_key_argument
def get(key: str) -> None:
    """Print the value of KEY."""
    value = settings_module.get_setting(_read_settings().config, key)
    Output(sys.stdout).write_text(f"{_shown(value)}\n")


@config.command("set")
@_key_argument
@click.argument("value", metavar="VALUE")
def set_(key: str, value: str) -> None:
    """Write KEY = VALUE into the user's file."""
    from assistant.commands.config_file import set_key

    path = paths.config_file()
    written = set_key(path, key, value)
    messages = Messages(sys.stderr)
    messages.note(f"{key} = {_shown(written)} in {path}")
    origin = _read_settings().origins[key]
    if not origin.startswith(str(path)):
        messages.warn(f"{origin} sets {key} too, and wins")


@config.command("unset")
@_key_argument
def unset(key: str) -> None:
    """Remove KEY from the user's file."""
    from assistant.commands.config_file import unset_key

    settings_module.get_setting(settings_module.Config(), key)
    path = paths.config_file()
    was_there = unset_key(path, key)
    Messages(sys.stderr).note(f"{key} is {'no longer' if was_there else 'not'} in {path}")


@config.command("path")
def path() -> None:
    """Print where the user's file is, or would be."""
    Output(sys.stdout).write_text(f"{paths.config_file()}\n")


@config.command("check")
def check() -> None:
    """Read all settings and say where they come from; fail on the first that cannot be used."""
    origins = _read_settings().origins
    changed = [f"{name}: {origin}" for name, origin in origins.items() if origin != "default"]
    head = f"{len(origins)} settings can be used, {len(changed)} of them changed"
    Output(sys.stdout).write_text("\n".join([head, *changed]) + "\n")


def _read_settings() -> Settings:
    return read_settings(project_from=_find_directory())


def _find_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None


def _render_toml(settings: Settings, *, with_origin: bool) -> Iterator[str]:
    from assistant.commands.setting_help import read_section_help, read_setting_help

    texts, sections = read_setting_help(), read_section_help()
    last_section = ""
    for name, origin in settings.origins.items():
        section, key = name.split(".")
        if section != last_section:
            yield from ([""] if last_section else [])
            yield from [f"# {sections[section]}", f"[{section}]"]
            last_section = section
        yield from (f"# {line}" for line in texts[name].splitlines())
        value = settings_module.get_setting(settings.config, name)
        written = _toml_value(_shown(value) if isinstance(value, str) else value)
        yield f"{key} = {written}{f'  # {origin}' if with_origin else ''}"


def _render_json(settings: Settings) -> str:
    import json

    from assistant.commands.setting_help import read_setting_help

    texts = read_setting_help()
    rows = {
        name: {
            "value": _shown(settings_module.get_setting(settings.config, name)),
            "origin": origin,
            "help": texts[name],
        }
        for name, origin in settings.origins.items()
    }
    return json.dumps({"schema": SCHEMA, "settings": rows}, indent=2)


def _toml_value(value: str | float) -> str:
    import tomlkit

    return tomlkit.item(value).as_string()


def _shown(value: str | float) -> str | float:
    """Hide a user's name and password in a URL."""
    return _USER_PART.sub("***@", value) if isinstance(value, str) else value
