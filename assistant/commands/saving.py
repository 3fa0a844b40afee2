"""`-o FILE`: looked at before there is an answer, written once there is one, never over what is there."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from assistant import files
from assistant.errors import StorageError, UsageError


def check_target(path: Path, *, force: bool) -> None:
    """Find out whether a file can be written, before minutes are spent on its content.

    Args:
        path: The file.
        force: An existing one may be replaced.

    Raises:
        UsageError: It cannot.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory", hint=f"-o {path / 'answer.py'}")
    if os.path.lexists(path):
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is not a regular file", hint=f"write to it with > {path}")
        if not force:
            raise UsageError(f"{path} exists", hint="--force replaces it")
        if path.exists() and not os.access(path, os.W_OK):
            raise UsageError(f"{path} may not be written to")
    directory = Path(os.path.realpath(path)).parent
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}", hint=f"mkdir -p {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise UsageError(f"nothing may be written in {directory}")


def save_answer(path: Path, text: str, *, force: bool) -> None:
    """Write an answer to its file.

    Raises:
        StorageError: It could not be written, or a file of that name has come up meanwhile.
    """
    if not force and os.path.lexists(path):
        raise StorageError(f"{path} has come up meanwhile and is left alone")
    files.write_atomic(path, text.encode("utf-8", "replace"))


def save_partial(path: Path, text: str) -> Path:
    """Write what there is of an answer beside the file that it was meant for; return where.

    Raises:
        StorageError: It could not be written.
    """
    names = itertools.chain([".partial"], (f".partial-{number}" for number in itertools.count(2)))
    target = next(free for name in names if not os.path.lexists(free := path.with_name(path.name + name)))
    files.write_atomic(target, text.encode("utf-8", "replace"))
    return target
