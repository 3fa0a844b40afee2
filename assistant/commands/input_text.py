"""Where a task and its input come from: the command line, a file or standard input.

Standard input is the difficult one. A pipe that somebody writes to and a pipe that an editor or a build
server left open look the same until the first byte, so a silent one is given up after a while.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from assistant import limits
from assistant.commands.messages import Messages
from assistant.errors import UsageError

STDIN = "-"
STDIN_NAME = "standard input"
MAX_INPUT_BYTES = limits.MAX_BODY_BYTES // 2
"""A request holds the input and more, and JSON's escapes make it longer."""
UNATTENDED_WAIT_S = 0.5
"""How long a silent pipe is waited for in a script, an editor or a build."""
ATTENDED_WAIT_S = 10.0
"""How long when a person watches: they see what is waited for, and can end it."""
CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the command line says about the task and its input."""

    task: str
    """`-` for standard input."""
    input: str | None = None
    """`-` for standard input, which is then waited for; None where the flag is not there."""
    input_file: str | None = None
    """As `input`, but the name of a file."""


def read_sources(sources: Sources, stdin: TextIO | None, messages: Messages) -> tuple[str, str]:
    """Return the task and its input, with a newline for every line end.

    Raises:
        UsageError: The task is empty, or a source cannot be read, is no text or is too large.
    """
    claims = [sources.task, sources.input, sources.input_file].count(STDIN)
    if sources.input is not None and sources.input_file is not None:
        raise UsageError("--input and --input-file are both given", hint="leave one of them out")
    if claims > 1:
        raise UsageError("the task and the input cannot both come from standard input")
    task = _read_all(stdin, messages) if sources.task == STDIN else _checked_flag("TASK", sources.task)
    if not task.strip():
        raise UsageError("the task is empty", hint='assistant ask "what the code should do"')
    if sources.input_file is not None and sources.input_file != STDIN:
        return task, read_text_file(Path(sources.input_file))
    if sources.input is not None and sources.input != STDIN:
        return task, _checked_flag("--input", sources.input)
    if STDIN in (sources.input, sources.input_file):
        return task, _read_all(stdin, messages)
    if sources.task == STDIN:
        return task, ""
    return task, _read_pipe(stdin, messages)


def read_text_file(path: Path) -> str:
    """Read a text file.

    Raises:
        UsageError: It is missing, unreadable, too large, or not UTF-8 text.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a directory", hint="give one file with --input-file")
        with path.open("rb") as file:
            content = file.read(MAX_INPUT_BYTES + 1)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read {path}: {reason}") from error
    return parse_text(content, str(path), size=size)


def parse_text(content: bytes, name: str, *, size: int = 0) -> str:
    """Decode UTF-8, with or without its mark, and make every line end a newline.

    Args:
        content: All bytes, or as many as were read before there were too many.
        name: What they were read from, for messages.
        size: How many there are, where that is known better.

    Raises:
        UsageError: There are too many, or they are no UTF-8 text.
    """
    _check_content(content, name, size)
    offset = _find_bad_byte(content)
    if offset is not None:
        raise UsageError(
            f"{name} is not UTF-8: byte 0x{content[offset]:02x} at offset {offset}",
            hint=f"convert it: iconv -f WINDOWS-1252 -t UTF-8 {name}",
        )
    return _with_plain_line_ends(content.decode("utf-8-sig"))


def _parse_stream(content: bytes, messages: Messages) -> str:
    """Decode standard input. What a program prints is not in the user's hands: bad bytes are replaced."""
    _check_content(content, STDIN_NAME, 0)
    offset = _find_bad_byte(content)
    if offset is not None:
        messages.warn(
            f"{STDIN_NAME} is not UTF-8: byte 0x{content[offset]:02x} at offset {offset}"
            " and others like it are read as U+FFFD"
        )
    return _with_plain_line_ends(content.decode("utf-8-sig", "replace"))


def _check_content(content: bytes, name: str, size: int) -> None:
    if len(content) > MAX_INPUT_BYTES:
        count = f"{size} bytes" if size > MAX_INPUT_BYTES else "more than that"
        raise UsageError(
            f"{name} is too large: the limit is {MAX_INPUT_BYTES} bytes, and it has {count}",
            hint="give the part that the task is about",
        )
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(
            f"{name} is UTF-16, as its first two bytes say", hint="convert it: iconv -f UTF-16 -t UTF-8"
        )
    offset = content.find(b"\0")
    if offset >= 0:
        raise UsageError(f"{name} looks binary: a NUL byte at offset {offset}", hint="give a text file")


def _find_bad_byte(content: bytes) -> int | None:
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the mark.
        return error.start + (len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0)
    return None


def _checked_flag(flag: str, text: str) -> str:
    """Refuse what Python could not decode from the command line, which nothing could encode again."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{flag} is not UTF-8, from its character {error.start + 1} on") from error
    if len(text) > MAX_INPUT_BYTES:
        raise UsageError(f"{flag} is too large: {len(text)} characters, and {MAX_INPUT_BYTES} are the limit")
    return _with_plain_line_ends(text)


def _with_plain_line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_all(stdin: TextIO | None, messages: Messages) -> str:
    """Read standard input to its end, however long that takes."""
    if stdin is None or stdin.closed:
        raise UsageError(f"{STDIN_NAME} is closed")
    descriptor = _find_descriptor(stdin)
    if descriptor is None:
        return _parse_stream(stdin.buffer.read(MAX_INPUT_BYTES + 1), messages)
    if os.isatty(descriptor):
        messages.note("reading from the terminal; Ctrl-D on a line of its own ends it")
    else:
        messages.show_status("reading standard input …")
    content = _drain(descriptor)
    messages.show_status("")
    return _parse_stream(content, messages)


def _read_pipe(stdin: TextIO | None, messages: Messages) -> str:
    """Read standard input where something is piped or redirected into it; the empty text elsewhere."""
    if stdin is None or stdin.closed:
        return ""
    descriptor = _find_descriptor(stdin)
    if descriptor is None:
        return _parse_stream(stdin.buffer.read(MAX_INPUT_BYTES + 1), messages)
    if os.isatty(descriptor):
        return ""
    wait_s = ATTENDED_WAIT_S if messages.has_status else UNATTENDED_WAIT_S
    if _is_ready(descriptor, min(wait_s, UNATTENDED_WAIT_S)):
        return _read_all(stdin, messages)
    messages.show_status(f"waiting {wait_s:g} s for standard input (`--input -` waits longer) …")
    is_ready = wait_s > UNATTENDED_WAIT_S and _is_ready(descriptor, wait_s - UNATTENDED_WAIT_S)
    messages.show_status("")
    if is_ready:
        return _read_all(stdin, messages)
    messages.warn(
        f"{STDIN_NAME} is open but silent for {wait_s:g} s: going on without it"
        " (`--input -` waits for it, `< /dev/null` says that there is none)"
    )
    return ""


def _find_descriptor(stdin: TextIO) -> int | None:
    try:
        return stdin.fileno()
    except (io.UnsupportedOperation, ValueError):
        return None


def _is_ready(descriptor: int, wait_s: float) -> bool:
    """Wait until there is something to read, or its end."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return True
    try:
        return bool(select.select([descriptor], [], [], wait_s)[0])
    except (OSError, ValueError):
        return True  # Windows waits for sockets alone


def _drain(descriptor: int) -> bytes:
    content = bytearray()
    try:
        while len(content) <= MAX_INPUT_BYTES:
            chunk = os.read(descriptor, CHUNK_BYTES)
            if not chunk:
                break
            content += chunk
    except OSError as error:
        raise UsageError(f"cannot read {STDIN_NAME}: {error.strerror}") from error
    return bytes(content)
