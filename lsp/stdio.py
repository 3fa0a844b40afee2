"""The process's own streams. Standard output belongs to the protocol alone, whatever a library prints.

Call `claim_streams` before anything else is imported. Knows no protocol.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """A connection to one client."""

    incoming: BinaryIO
    outgoing: BinaryIO


def claim_streams() -> Streams:
    """Take standard input and output for the protocol.

    From here on descriptor 1 is standard error, so that a print, a C library or a child process cannot get
    between two messages; and descriptor 0 is empty, so that nobody reads a message away. The copies
    returned are not inherited: a generator started from here must not hold the editor's pipes open.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(2 if _is_open(2) else nowhere, 1)
    os.close(nowhere)
    for descriptor in (incoming, outgoing):
        os.set_blocking(descriptor, True)  # an editor may have made its own end's flags ours
    sys.stdout = sys.stderr
    return Streams(incoming=os.fdopen(incoming, "rb"), outgoing=os.fdopen(outgoing, "wb", buffering=0))


class QueuedWriter:
    """Writes on a thread of its own: a client that does not read must not make the server deaf.

    Args:
        stream: Where the bytes go.
        on_lost: Called once, on that thread, when nobody reads any more.
    """

    def __init__(self, stream: BinaryIO, on_lost: Callable[[], None]) -> None:
        self._stream = stream
        self._on_lost = on_lost
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="lsp-writer", daemon=True)
        self._thread.start()

    def write(self, content: bytes) -> None:
        """Queue bytes, in order, from any thread."""
        self._queue.put(content)

    def close(self) -> None:
        """Write what is queued and end the thread, without waiting for it."""
        self._queue.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait until everything is written, but not for ever."""
        self.close()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (content := self._queue.get()) is not None:
            try:
                _write_all(self._stream, content)
            except (OSError, ValueError):  # ValueError: the stream was closed under us
                self._on_lost()
                return


def _write_all(stream: BinaryIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[stream.write(rest) :]
    stream.flush()


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
