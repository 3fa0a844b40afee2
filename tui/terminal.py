"""Whether there is a terminal to draw on, and its keyboard back. Used before Textual is imported.

Textual reads keys from descriptor 0 and draws through descriptor 2. What is piped into 0 would arrive as key
presses; what a library writes to 2 would be drawn over the screen.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Generator, Mapping

from assistant.errors import UsageError

CONTROLLING_TERMINAL = "/dev/tty"
ASK_HINT = 'use `assistant ask "…"` where there is none'


def check_terminal(environment: Mapping[str, str] = os.environ) -> None:
    """Find out whether the chat can be drawn.

    Raises:
        UsageError: There is no terminal, or one that cannot place a cursor.
    """
    if not _is_terminal(2) and not _is_terminal(1):
        raise UsageError("the chat needs a terminal to draw on", hint=ASK_HINT)
    if environment.get("TERM", "") in ("", "dumb"):
        name = environment.get("TERM") or "not set"
        raise UsageError(
            f"the chat needs a terminal that can place its cursor, and TERM is {name}",
            hint='set TERM, or use `assistant ask "…"`',
        )


def is_stdin_terminal() -> bool:
    """Whether keys come from standard input already."""
    return _is_terminal(0)


def give_keyboard_back() -> None:
    """Make descriptor 0 the terminal again, after what was piped into it has been read.

    Raises:
        UsageError: There is no controlling terminal.
    """
    try:
        terminal = os.open(CONTROLLING_TERMINAL, os.O_RDWR)
    except OSError as error:
        raise UsageError("the chat needs a keyboard, and there is no terminal", hint=ASK_HINT) from error
    os.dup2(terminal, 0)
    os.close(terminal)
    # Textual asks these for their descriptor; the ones that were opened on the pipe have seen its end.
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115


@contextlib.contextmanager
def guarded_screen() -> Generator[None]:
    """Keep everything but the drawing off the screen: others who write to descriptor 2 write nowhere."""
    drawing = os.dup(2 if _is_terminal(2) else 1)
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    stream, earlier = os.fdopen(drawing, "w", encoding="utf-8", errors="replace"), sys.__stderr__
    os.dup2(nowhere, 2)
    os.close(nowhere)
    sys.__stderr__ = stream
    try:
        yield
    finally:
        sys.__stderr__ = earlier
        with contextlib.suppress(OSError, ValueError):
            stream.close()
        os.dup2(saved, 2)
        os.close(saved)


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False
