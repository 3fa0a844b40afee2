"""What a stream can show: whether a person looks at it, in which colours, how wide. Writes nothing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO

DEFAULT_COLUMNS = 80

_BIDI_CONTROLS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""They make code look different from what it is."""
_HIDDEN = dict.fromkeys(
    [code for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\t\n"]
    + list(_BIDI_CONTROLS)
)


class ColorChoice(StrEnum):
    """What `--color` says."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """What one output stream can show."""

    is_terminal: bool = False
    has_color: bool = False
    can_rewrite: bool = False
    """Whether a line can be taken back: it is a terminal, and no dumb one."""


def find_screen(
    stream: TextIO | None,
    color: ColorChoice = ColorChoice.AUTO,
    environment: Mapping[str, str] = os.environ,
) -> Screen:
    """Look at a stream. A closed one shows nothing."""
    is_terminal = stream is not None and not stream.closed and stream.isatty()
    is_capable = is_terminal and environment.get("TERM", "dumb") != "dumb"
    return Screen(
        is_terminal=is_terminal,
        has_color=wants_color(color, is_capable=is_capable, environment=environment),
        can_rewrite=is_capable,
    )


def wants_color(color: ColorChoice, *, is_capable: bool, environment: Mapping[str, str]) -> bool:
    """Decide on colour: the flag, then NO_COLOR, then FORCE_COLOR, then whether the stream can."""
    if color is not ColorChoice.AUTO:
        return color is ColorChoice.ALWAYS
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return is_capable


def find_columns(stream: TextIO | None) -> int:
    """Return how many characters fit on a line."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_COLUMNS if stream else DEFAULT_COLUMNS
    except (OSError, ValueError):
        return DEFAULT_COLUMNS


def visible_text(text: str) -> str:
    """Drop what would command a terminal instead of being shown on it. Tabs and line ends stay."""
    return text.translate(_HIDDEN)


def lead_nowhere(stream: TextIO | None) -> None:
    """Give up a stream that failed: what is left in Python's buffers would fail again when Python ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
