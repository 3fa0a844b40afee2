"""Text onto the clipboard, by every road there is, and the truth about which one worked.

A terminal does not say whether it took a text, so a tool that can be asked what the clipboard holds now
comes first, and the terminal is sent the text besides. Knows no Textual and writes to no terminal itself.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TOOL_TIMEOUT_S = 2.0
MAX_TERMINAL_BYTES = 100_000
"""Terminals drop longer OSC 52 sequences, some without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Programs that write and read a clipboard."""

    name: str
    write: tuple[str, ...]
    read: tuple[str, ...]
    """Empty where it cannot be read back."""
    variable: str = ""
    """An environment variable without which it does nothing."""


TOOLS = (
    Tool(
        name="tmux",
        write=("tmux", "load-buffer", "-w", "-"),
        read=("tmux", "show-buffer"),
        variable="TMUX",
    ),
    Tool(name="wl-copy", write=("wl-copy",), read=("wl-paste", "-n"), variable="WAYLAND_DISPLAY"),
    Tool(
        name="xclip",
        write=("xclip", "-selection", "clipboard"),
        read=("xclip", "-selection", "clipboard", "-o"),
        variable="DISPLAY",
    ),
    Tool(
        name="xsel",
        write=("xsel", "--clipboard", "--input"),
        read=("xsel", "--clipboard", "--output"),
        variable="DISPLAY",
    ),
    Tool(name="pbcopy", write=("pbcopy",), read=("pbpaste",)),
    Tool(name="termux-clipboard-set", write=("termux-clipboard-set",), read=("termux-clipboard-get",)),
    Tool(name="clip.exe", write=("clip.exe",), read=()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What became of a text that was to be copied."""

    checked: tuple[str, ...] = ()
    """Tools that hold it now: they were asked."""
    unchecked: tuple[str, ...] = ()
    """What takes it and cannot be asked."""
    sequence: str = ""
    """To be written to the terminal, which may be the only one to know the clipboard."""

    def describe(self, what: str) -> str:
        """Say it to the user.

        Args:
            what: What was copied, to begin the sentence with.
        """
        if self.checked:
            return f"{what} copied with {' and '.join(self.checked)}"
        if self.unchecked:
            return f"{what} sent to {' and '.join(self.unchecked)}: cannot confirm that it arrived"
        return f"{what} could not be copied: no clipboard was found; save it to a file instead"


def copy_text(
    text: str,
    *,
    environment: Mapping[str, str] = os.environ,
    tools: Sequence[Tool] = TOOLS,
) -> Copied:
    """Copy a text. Blocks for as long as the tools take, `TOOL_TIMEOUT_S` each at most.

    Args:
        text: It.
        environment: Says which tools and which terminal there are.
        tools: The programs to try.
    """
    checked: list[str] = []
    unchecked: list[str] = []
    content = text.encode("utf-8", "replace")
    for tool in tools:
        if tool.variable and not environment.get(tool.variable):
            continue
        if not shutil.which(tool.write[0]) or not _write(tool, content):
            continue
        if tool.read and _read(tool) == content:
            checked.append(tool.name)
        else:
            unchecked.append(tool.name)
        if tool.name != "tmux":  # tmux's buffer is one thing, the desktop's clipboard another
            break
    sequence = ""
    if len(content) <= MAX_TERMINAL_BYTES:
        sequence = terminal_sequence(content, in_tmux=bool(environment.get("TMUX")))
        unchecked.append("the terminal")
    return Copied(checked=tuple(checked), unchecked=tuple(unchecked), sequence=sequence)


def terminal_sequence(content: bytes, *, in_tmux: bool) -> str:
    """Return OSC 52, which asks a terminal to set its clipboard.

    Args:
        content: The text, in UTF-8.
        in_tmux: Send it as well in the wrapping that tmux hands through where `allow-passthrough` is on.
    """
    sequence = f"\x1b]52;c;{base64.b64encode(content).decode('ascii')}\x07"
    if not in_tmux:
        return sequence
    doubled = sequence.replace("\x1b", "\x1b\x1b")
    return f"{sequence}\x1bPtmux;{doubled}\x1b\\"


def _write(tool: Tool, content: bytes) -> bool:
    try:
        # xclip stays to serve the selection: it must not hold our pipes open.
        done = subprocess.run(
            tool.write,
            input=content,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _read(tool: Tool) -> bytes | None:
    try:
        done = subprocess.run(
            tool.read,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TOOL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
