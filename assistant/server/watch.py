"""Noticing that another model was made active, or that a model was replaced. Reads nothing itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

SETTLE_S = 0.1
"""Several events of one change count as one."""
POLL_S = 2.0

_log = logging.getLogger(__name__)


class StoreWatch(FileSystemEventHandler):
    """Calls back on the event loop after the pointer file or a model's directory has changed.

    Args:
        directory: The store.
        on_change: Called on the event loop that `start` is called on.
    """

    def __init__(self, directory: Path, on_change: Callable[[], None]) -> None:
        self._directory = directory
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._settling: asyncio.TimerHandle | None = None
        self._observer: BaseObserver | None = None

    def start(self, observers: tuple[Callable[[], BaseObserver], ...] = ()) -> None:
        """Begin to watch; by asking every few seconds where the system has no notifications left.

        Args:
            observers: Ways to watch, the best first.
        """
        for build in observers or (Observer, lambda: PollingObserver(timeout=POLL_S)):
            observer = build()
            try:
                observer.schedule(self, str(self._directory))
                observer.start()
            except OSError as error:
                _log.warning(
                    "the store cannot be watched with %s: %s", type(observer).__name__, error.strerror
                )
                continue
            self._observer = observer
            return

    def stop(self) -> None:
        """End the watch."""
        if self._observer is not None:
            self._observer.stop()
        if self._settling is not None:
            self._settling.cancel()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Take an event, on the observer's thread."""
        if event.event_type in ("opened", "closed_no_write"):
            return  # reading is no change, and we read
        if any(self._is_of_store(path) for path in (event.src_path, event.dest_path) if path):
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                self._loop.call_soon_threadsafe(self._settle)

    def _is_of_store(self, path: bytes | str) -> bool:
        """Whether it is the pointer or a model, and not a file that is being written or a lock."""
        found = Path(os.fsdecode(path))
        return found.parent == self._directory and not found.name.startswith(".")

    def _settle(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
        self._settling = self._loop.call_later(SETTLE_S, self._on_change)
