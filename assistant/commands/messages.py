"""Standard error: errors, warnings, notes, and one line that says what goes on.

The line is rewritten in place on a terminal and is not there elsewhere. Writing here never fails: where
standard error is closed or full, there is nobody to tell.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Generator
from typing import TextIO

from assistant.commands.terminal import Screen, find_columns, find_screen, lead_nowhere, visible_text
from assistant.errors import AssistantError

_RED, _YELLOW, _DIM, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[0m"
_CLEAR_LINE = "\r\x1b[K"
_LINE_BREAKS = re.compile(r"\s*[\n\t]\s*")


class Messages:
    """What a command has to say beside its answer. Any thread may speak.

    Args:
        stream: Standard error, or None where it is closed.
        screen: What it can show; by default it is asked.
        is_quiet: Say nothing but errors.
    """

    def __init__(
        self, stream: TextIO | None, screen: Screen | None = None, *, is_quiet: bool = False
    ) -> None:
        self._stream = stream
        self._is_quiet = is_quiet
        self._lock = threading.RLock()
        self._status = ""
        self.screen = screen or find_screen(stream)
        self.has_status = self.screen.can_rewrite and not is_quiet
        """Whether there is a line that is rewritten in place."""
        self.has_reader = self.screen.is_terminal and not is_quiet
        """Whether a person is there to read what is merely good to know."""

    def report(self, error: AssistantError) -> None:
        """Say what failed and what to do about it."""
        self.fail(error.message, hint=error.hint)

    def fail(self, text: str, *, hint: str = "") -> None:
        """Say what failed, in one line, and what to do about it in another."""
        self._write_line("error:", text, _RED)
        if hint:
            self._write_line("hint:", hint, _DIM)

    def warn(self, text: str) -> None:
        """Say that the answer may not be what is wanted."""
        if not self._is_quiet:
            self._write_line("warning:", text, _YELLOW)

    def tell(self, text: str) -> None:
        """Say what a command does that takes its time, to people and to logs alike."""
        if not self._is_quiet:
            self._write_line("", text, _DIM)

    def note(self, text: str) -> None:
        """Say something that is good to know, to a person."""
        if self.has_reader:
            self._write_line("", text, _DIM)

    def show_status(self, text: str) -> None:
        """Rewrite the line that says what goes on; the empty text takes it away."""
        if not self.has_status:
            return
        with self._lock:
            if not text and not self._status:
                return
            self._status = visible_text(text)[: find_columns(self._stream) - 1]
            self._draw_status()

    @contextlib.contextmanager
    def aside(self) -> Generator[None]:
        """Take the line away while something else is written to the same terminal."""
        with self._lock:
            shown = bool(self._status)
            if shown:
                self._write(_CLEAR_LINE)
            try:
                yield
            finally:
                if shown and self._status:
                    self._draw_status()

    def _draw_status(self) -> None:
        self._write(_CLEAR_LINE + self._painted(self._status, _DIM))

    def _write_line(self, label: str, text: str, color: str) -> None:
        line = _LINE_BREAKS.sub(" ", visible_text(text).strip())
        with self.aside():
            if label:
                self._write(f"{self._painted(label, color)} {line}\n")
            else:
                self._write(f"{self._painted(line, color)}\n")

    def _painted(self, text: str, color: str) -> str:
        return f"{color}{text}{_PLAIN}" if self.screen.has_color and text else text

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            lead_nowhere(self._stream)
