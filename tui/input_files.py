"""A file, or what was piped in, as the input. Knows no Textual."""

from __future__ import annotations

from pathlib import Path

from assistant.commands.input_text import read_text_file


def read_input_file(path: Path) -> str:
    """Read a text file.

    Raises:
        UsageError: It is missing, unreadable, too large, or not UTF-8 text.
    """
    return read_text_file(path)
