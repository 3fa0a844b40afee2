"""Where settings are read from: files and the environment, each value with the place it came from.

Later ones win: the defaults, the user's file, a project's file (harmless keys alone), environment variables.
Flags are applied by the commands themselves. What settings there are is `assistant.config`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from assistant import paths
from assistant.config import Config, SamplingSettings, parse_text_value, setting_names, with_value
from assistant.errors import ConfigError
from assistant.requests import Sampling

PROJECT_FILE = ".assistant.toml"
PROJECT_SECTIONS = frozenset({"sampling"})
"""A project's file comes with somebody's repository: it must not name a URL, a model or a program."""
NOT_SETTINGS = frozenset({"ASSISTANT_HOME", "ASSISTANT_CACHE", "ASSISTANT_GENERATOR_TOKEN"})
"""Environment variables that start like a setting and are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A configuration, and for each `section.key` the place its value came from."""

    config: Config
    origins: Mapping[str, str]


def build_sampling(settings: SamplingSettings) -> Sampling:
    """Return how a front end has answers chosen unless it is told otherwise."""
    return Sampling(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=settings.min_p,
        repetition_penalty=settings.repetition_penalty or None,  # 0 is the model's own
        max_tokens=settings.max_tokens,
        syntax_guard=settings.syntax_guard == "on",
    )


def variable_name(name: str) -> str:
    """The environment variable of a `section.key`: `ASSISTANT_SECTION_KEY`."""
    return "ASSISTANT_" + name.replace(".", "_").upper()


def read_settings(*, project_from: Path | None = None) -> Settings:
    """Read every source of settings.

    Args:
        project_from: Look for a project's file in this directory and those above it; None for no project.

    Raises:
        ConfigError: A file, key or value cannot be used; the message names it and its place.
    """
    config = Config()
    origins = dict.fromkeys(setting_names(), "default")
    layers: list[Iterator[tuple[str, Any, str]]] = [_file_values(paths.config_file())]
    project = find_project_file(project_from) if project_from is not None else None
    if project is not None:
        layers.append(_project_values(project))
    layers.append(_environment_values(os.environ))
    for layer in layers:
        for name, value, place in layer:
            config = with_value(config, name, value, place)
            origins[name] = place
    return Settings(config=config, origins=origins)


def read_config(*, project_from: Path | None = None) -> Config:
    """Read every source of settings and forget where each value came from.

    Raises:
        ConfigError: As `read_settings`.
    """
    return read_settings(project_from=project_from).config


def find_project_file(start: Path) -> Path | None:
    """Return the nearest project file at or above a directory, the home directory and above left out."""
    home = Path.home()
    for directory in [start, *start.parents]:
        if directory == home:
            return None
        if (directory / PROJECT_FILE).is_file():
            return directory / PROJECT_FILE
    return None


def _file_values(path: Path) -> Iterator[tuple[str, Any, str]]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    import tomllib  # late: most users have no file

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    for section, content in document.items():
        if not isinstance(content, dict):
            place = f"{path}:{_line_of(text, '', section)}"
            raise ConfigError(
                f"{place}: {section} = … stands outside a section", hint="put it under [section]"
            )
        for key, value in cast("dict[str, Any]", content).items():
            yield f"{section}.{key}", value, f"{path}:{_line_of(text, section, key)}"


def _project_values(path: Path) -> Iterator[tuple[str, Any, str]]:
    for name, value, place in _file_values(path):
        section = name.split(".")[0]
        if section not in PROJECT_SECTIONS and name in setting_names():
            raise ConfigError(
                f"{place}: a project may not set {name}", hint=f"put it into {paths.config_file()}"
            )
        yield name, value, place


def _environment_values(environment: Mapping[str, str]) -> Iterator[tuple[str, Any, str]]:
    known = {variable_name(name): name for name in setting_names()}
    for variable, text in environment.items():
        if not variable.startswith("ASSISTANT_") or variable in NOT_SETTINGS:
            continue
        name = known.get(variable)
        if name is None:
            import difflib  # late: only a mistake needs it

            nearest = difflib.get_close_matches(variable, known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]}?" if nearest else "see `assistant config show`"
            raise ConfigError(f"{variable} is no setting", hint=hint)
        yield name, parse_text_value(name, text, variable), variable


def _line_of(text: str, section: str, key: str) -> int:
    """Find the line that sets a key. tomllib keeps no positions, and an error should name one."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            current = stripped.strip("[] \t").split("]")[0].strip()
            if current == f"{section}.{key}":
                return number
        elif current == section and stripped.split("=")[0].strip().strip("\"'") == key:
            return number
    return 1
