"""A file of JSON Lines that grows: what is written is on the disk, and what was torn off is dropped.

A process that is killed while it writes leaves at most one line without its end. That line is cut off when
the file is opened again; the lines before it stand.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from assistant.errors import UsageError
from assistant.files import storage_error

PRIVATE = 0o600


class RowFile:
    """Appends rows to a file. Any thread may write.

    Args:
        path: The file. It is made if it is not there; a torn last line is cut off.

    Raises:
        StorageError: It cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, PRIVATE)
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.ftruncate(self._descriptor, whole)
        except OSError as error:
            raise storage_error(error, path) from error

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row and wait until the disk has it.

        Raises:
            StorageError: The disk is full; the rows before are whole.
        """
        line = json.dumps(row).encode() + b"\n"
        with self._lock:
            try:
                before = os.fstat(self._descriptor).st_size
            except OSError as error:
                raise storage_error(error, self._path) from error
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
                os.fsync(self._descriptor)
            except OSError as error:
                os.ftruncate(self._descriptor, before)
                raise storage_error(error, self._path) from error

    def close(self) -> None:
        """Close the file. Whoever still writes fails, and writes to no other file of that number."""
        with self._lock:
            os.close(self._descriptor)
            self._descriptor = -1


def read_whole_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, without a torn last one; none where there is no file.

    Raises:
        UsageError: A line is no row.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].split(b"\n")[:-1], start=1):
        try:
            row: object = json.loads(line)
        except ValueError as error:
            raise _damaged(path, number) from error
        if not isinstance(row, dict):
            raise _damaged(path, number)
        rows.append(cast("dict[str, Any]", row))
    return rows


def _damaged(path: Path, number: int) -> UsageError:
    return UsageError(
        f"{path}:{number} is damaged", hint="delete that line, and what it held is made again; or --replace"
    )
