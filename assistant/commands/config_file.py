"""Changing one key of the user's configuration file; comments and order stay as they are."""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from assistant import files
from assistant.config import Config, parse_text_value, with_value
from assistant.errors import ConfigError

PLACE = "config set"


def set_key(path: Path, name: str, text: str) -> str | int | float:
    """Set a `section.key` and return the value that it has now.

    Args:
        path: The file; it is made if there is none.
        name: The key.
        text: Its value, as it is given on a command line.

    Raises:
        ConfigError: There is no such key, the value cannot be used, or the file is not TOML.
        StorageError: The file cannot be written.
    """
    value = parse_text_value(name, text, PLACE)
    with_value(Config(), name, value, PLACE)
    document = _read_document(path)
    section, key = name.split(".")
    if section not in document:
        document[section] = tomlkit.table()
    _table_of(document, section, path)[key] = value
    _write_document(path, document)
    return value


def unset_key(path: Path, name: str) -> bool:
    """Remove a `section.key`, and its section if nothing else is in it. Return whether it was there.

    Raises:
        ConfigError: The file is not TOML.
        StorageError: The file cannot be written.
    """
    document = _read_document(path)
    section, _, key = name.partition(".")
    if section not in document:
        return False
    table = _table_of(document, section, path)
    if key not in table:
        return False
    del table[key]
    _write_document(path, document)
    return True


def _read_document(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        return tomlkit.document()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except TOMLKitError as error:
        raise ConfigError(f"{path} is not TOML: {error}", hint="mend it, or move it away") from error


def _table_of(document: tomlkit.TOMLDocument, section: str, path: Path) -> MutableMapping[str, Any]:
    table: object = document[section]
    if not isinstance(table, MutableMapping):
        raise ConfigError(f"{path}: {section} is no section", hint=f"write [{section}] on a line of its own")
    return cast("MutableMapping[str, Any]", table)


def _write_document(path: Path, document: tomlkit.TOMLDocument) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise files.storage_error(error, path) from error
    files.write_atomic(path, tomlkit.dumps(document).encode())
