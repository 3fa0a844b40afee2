"""Where code is saved from the screen: what may stand in the line, and the writing. Knows no Textual."""

from __future__ import annotations

import os
from pathlib import Path

from assistant import files
from assistant.errors import AssistantError

DEFAULT_NAME = "answer.py"


def target_of(line: str) -> Path:
    """Return the file that a line of text names."""
    return Path(line.strip()).expanduser()


def find_fault(line: str) -> str:
    """Return what is wrong with a line as the name of a file to save to, or the empty text."""
    if not line.strip() or "\0" in line:
        return "Give the name of a file."
    path = target_of(line)
    if path.is_dir():
        return f"{path} is a directory: give a file in it."
    if os.path.lexists(path) and path.exists() and not path.is_file():
        return f"{path} is not a regular file."
    if not Path(os.path.realpath(path)).parent.is_dir():
        return f"There is no directory {path.parent}."
    return ""


def free_name(name: str = DEFAULT_NAME, directory: Path | None = None) -> str:
    """Return a name that no file in the directory has: answer.py, answer-2.py and so on."""
    base = Path(name)
    candidate, number = name, 2
    while os.path.lexists((directory or Path()) / candidate):
        candidate = f"{base.stem}-{number}{base.suffix}"
        number += 1
    return candidate


def save_text(path: Path, text: str) -> str:
    """Write a file, all or nothing; return what is wrong, or the empty text."""
    try:
        files.write_atomic(path, text.encode("utf-8", "replace"))
    except AssistantError as error:
        return f"{error.message}; {error.hint}" if error.hint else error.message
    return ""
