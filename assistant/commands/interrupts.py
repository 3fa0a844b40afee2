"""What ends an answer early: Ctrl-C, a request to terminate, the user's deadline.

The first of them stops the generator and leaves what has come; a second Ctrl-C ends the process at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Generator
from types import FrameType
from typing import Protocol

CANCELLING = (signal.SIGINT, signal.SIGTERM)


class Closable(Protocol):
    """What can be ended early."""

    def close(self) -> None:
        """End it, from any thread."""
        ...


class Interrupts:
    """Why a stream of events was closed before its end."""

    def __init__(self) -> None:
        self.signal_number = 0
        """The signal that came, or 0."""
        self.is_late = False
        """Whether the deadline passed."""
        self._wanted = threading.Event()

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal ended."""
        return 128 + self.signal_number

    @contextlib.contextmanager
    def watching(self, events: Closable, *, timeout_s: float | None) -> Generator[None]:
        """Close the stream when a signal comes or the time is over.

        The stream is closed on another thread: a signal handler must not wait for a lock that the code
        it interrupts may hold.

        Args:
            events: The stream.
            timeout_s: Seconds from now, or None to wait for ever.
        """
        has_ended = threading.Event()

        def close_when_wanted() -> None:
            self.is_late = not self._wanted.wait(timeout_s)
            if not has_ended.is_set():
                events.close()

        watcher = threading.Thread(target=close_when_wanted, name="interrupts", daemon=True)
        watcher.start()
        restore = _install(self._note_signal)
        try:
            yield
        finally:
            restore()
            has_ended.set()
            self._wanted.set()
            watcher.join()

    def _note_signal(self, number: int, _: FrameType | None) -> None:
        if self.signal_number:
            os._exit(128 + number)
        self.signal_number = number
        self._wanted.set()


def _install(handler: Callable[[int, FrameType | None], None]) -> Callable[[], None]:
    """Handle the signals, those that are ignored left so; return what undoes it."""
    if threading.current_thread() is not threading.main_thread():
        return lambda: None
    earlier = {
        number: signal.signal(number, handler)
        for number in CANCELLING
        if signal.getsignal(number) is not signal.SIG_IGN
    }

    def restore() -> None:
        for number, handle in earlier.items():
            signal.signal(number, handle)

    return restore
