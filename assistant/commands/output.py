"""Standard output: the answer and nothing else. No command writes to it in another way.

Text leaves as UTF-8 with the line ends it has, whatever the locale says, so that `> f`, `-o f` and a pipe
get the same bytes; only a terminal gets its own encoding.
"""

from __future__ import annotations

import io
import os
import select
from typing import TextIO

from assistant.commands.terminal import Screen, find_screen, lead_nowhere
from assistant.errors import StorageError


class Output:
    """Where an answer goes.

    Args:
        stream: Standard output, or None where it is closed.
        screen: What it can show; by default it is asked.
    """

    def __init__(self, stream: TextIO | None, screen: Screen | None = None) -> None:
        self._stream = stream
        self.screen = screen or find_screen(stream)

    def write_text(self, text: str) -> None:
        """Write some text and hand it over at once.

        Raises:
            StorageError: Standard output is closed, or its disk is full.
            BrokenPipeError: Nobody reads it any more.
        """
        if self._stream is None:
            raise StorageError("standard output is closed")
        encoding = self._stream.encoding if self.screen.is_terminal else "utf-8"
        content = text.encode(encoding, "replace")
        try:
            self._stream.flush()
            _write_all(self._stream, content)
        except BrokenPipeError:
            raise
        except (OSError, ValueError) as error:
            lead_nowhere(self._stream)
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise StorageError(f"cannot write to standard output: {reason}") from error


def _write_all(stream: TextIO, content: bytes) -> None:
    """Write past Python's buffer, which loses count where the other side made the pipe non-blocking."""
    try:
        descriptor = stream.fileno()
    except io.UnsupportedOperation:  # a stand-in without a file behind it
        stream.buffer.write(content)
        return
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
