"""JSON from a place that is not trusted: capped in size and depth before anything is made of it."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from assistant.errors import ModelError, UnsafeModelError

MAX_JSON_BYTES = 64 * 1024 * 1024
"""Tokenizers of 256,000 entries take half of it."""
MAX_JSON_DEPTH = 64


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading if it is one: no link, no pipe that would never end, no device.

    Raises:
        UnsafeModelError: It is something else.
        OSError: It cannot be opened.
    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if path.is_symlink():
        raise UnsafeModelError(f"{path} is a link", hint="copy the model with `cp -rL` and use the copy")
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafeModelError(f"{path} is not a regular file", hint="remove it")
    return os.fdopen(descriptor, "rb")


def read_capped(path: Path, limit: int) -> bytes:
    """Read a file that should be small.

    Raises:
        UnsafeModelError: It is longer than `limit` bytes, or not a regular file.
        ModelError: It cannot be read.
    """
    try:
        with open_regular(path) as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > limit:
        raise UnsafeModelError(f"{path} is longer than {limit} bytes", hint="this is not what it should hold")
    return content


def parse_json(content: bytes, place: str) -> Any:
    """Turn JSON text into values.

    Args:
        content: UTF-8.
        place: Where it came from, for the error.

    Raises:
        ModelError: It is not JSON.
        UnsafeModelError: It is nested deeper than any such file needs.
    """
    try:
        document = json.loads(content.decode("utf-8"))
    except RecursionError as error:
        raise _depth_error(place) from error
    except ValueError as error:
        raise ModelError(f"{place} is not JSON: {error}") from error
    for _, _ in walk_json(document, place):
        pass
    return document


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ModelError: It cannot be read or is not JSON.
        UnsafeModelError: It is too long, too deep or no regular file.
    """
    return parse_json(read_capped(path, MAX_JSON_BYTES), str(path))


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        ModelError: It does not.
        UnsafeModelError: As `read_json`.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        raise ModelError(f"{path} must hold a JSON object, not {type(document).__name__}")
    return cast("dict[str, Any]", document)


def walk_json(document: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield every key of every object with its value, however deep.

    Raises:
        UnsafeModelError: It is nested deeper than `MAX_JSON_DEPTH`.
    """
    level: list[Any] = [document]
    for _ in range(MAX_JSON_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                entries = cast("dict[str, Any]", value)
                yield from entries.items()
                below += [inner for inner in entries.values() if isinstance(inner, dict | list)]
            elif isinstance(value, list):
                below += [inner for inner in cast("list[Any]", value) if isinstance(inner, dict | list)]
        if not below:
            return
        level = below
    raise _depth_error(place)


def _depth_error(place: str) -> UnsafeModelError:
    return UnsafeModelError(
        f"{place} is nested deeper than {MAX_JSON_DEPTH} levels", hint="no model needs that; do not use it"
    )
