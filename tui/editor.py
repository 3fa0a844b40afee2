"""The user's own editor on a piece of text. The caller gets the terminal out of the way first."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from assistant.errors import StorageError, UsageError

FALLBACKS = ("nano", "vi", "notepad")


def find_editor(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the command of $VISUAL, of $EDITOR, or of an editor that most systems have.

    Raises:
        UsageError: There is none.
    """
    for variable in ("VISUAL", "EDITOR"):
        try:
            words = shlex.split(environment.get(variable, ""))
        except ValueError as error:
            raise UsageError(f"${variable} is no command: {error}") from error
        if words:
            return words
    for name in FALLBACKS:
        if shutil.which(name):
            return [name]
    raise UsageError("no editor was found", hint="set $EDITOR")


def edit_text(text: str, *, suffix: str, command: list[str]) -> str:
    """Open a text in the editor, wait for it to end and return what the text is then.

    Args:
        text: It.
        suffix: The end of the file's name, by which the editor knows its language.
        command: As `find_editor` returns it.

    Raises:
        UsageError: The editor does not start, or ends with an error.
        StorageError: The text could not be handed over or read back.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="assistant-edit-") as directory:
            path = Path(directory) / f"text{suffix}"
            path.write_text(text, encoding="utf-8", errors="replace", newline="")
            _run_editor([*command, str(path)])
            edited = path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise StorageError(f"the text could not be handed to the editor: {error.strerror}") from error
    return edited.replace("\r\n", "\n")


def _run_editor(command: list[str]) -> None:
    try:
        done = subprocess.run(command, check=False)
    except OSError as error:
        raise UsageError(f"cannot start {command[0]}: {error.strerror}", hint="set $EDITOR") from error
    if done.returncode:
        raise UsageError(f"{command[0]} ended with exit code {done.returncode}; nothing was changed")
