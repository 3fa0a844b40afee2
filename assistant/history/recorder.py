"""Exchanges into the history, on a thread of its own: no front end waits for the disk or fails with it.

What could not be written is kept and tried again with the next exchange and at the end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from assistant.errors import AssistantError
from assistant.history.records import Exchange
from assistant.history.store import History, open_history


class Recorder:
    """Saves exchanges in the order in which they came. Nothing here raises; any thread may call.

    Args:
        warn: Told what is wrong, once until it works again, on the recorder's thread.
        open_store: Opens the history, on the recorder's thread.
    """

    def __init__(
        self, warn: Callable[[AssistantError], None], open_store: Callable[[], History] = open_history
    ) -> None:
        self._warn = warn
        self._open_store = open_store
        self._changed = threading.Condition()
        self._waiting: dict[str, Exchange] = {}
        self._is_closing = False
        self._has_warned = False
        self._deleted: set[str] = set()
        self._saves = 0
        self._thread: threading.Thread | None = None

    def save(self, exchange: Exchange) -> None:
        """Have an exchange written. A newer state of one that still waits takes its place."""
        with self._changed:
            if exchange.conversation in self._deleted:
                return
            self._waiting[exchange.id] = exchange
            self._saves += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="history", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def forget(self, conversation: str) -> None:
        """Write no more of a conversation: the user deleted it."""
        with self._changed:
            self._deleted.add(conversation)
            self._waiting = {
                key: kept for key, kept in self._waiting.items() if kept.conversation != conversation
            }

    def close(self, *, timeout_s: float = 10.0) -> bool:
        """Write what waits, at most so long; return whether all of it is written."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self._waiting

    def wait_idle(self, *, timeout_s: float) -> bool:
        """Wait until all is written; return whether it is."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._waiting and time.monotonic() < deadline:
                self._changed.wait(deadline - time.monotonic())
            return not self._waiting

    def _run(self) -> None:
        store: History | None = None
        seen = 0
        while True:
            with self._changed:
                # What failed waits for the next exchange, or for the end: a full disk is not asked in a loop.
                while not self._is_closing and self._saves == seen:
                    self._changed.wait()
                seen, exchanges, is_last = self._saves, list(self._waiting.values()), self._is_closing
            store = self._write(store, exchanges)
            if is_last:
                break
        if store is not None:
            store.close()

    def _write(self, store: History | None, exchanges: list[Exchange]) -> History | None:
        try:
            store = store or self._open_store()
            for exchange in exchanges:
                store.save_exchange(exchange)
                if exchange.conversation in self._deleted:  # while it was being written
                    store.delete(exchange.conversation)
                self._settle(exchange)
        except AssistantError as error:
            if not self._has_warned:
                self._has_warned = True
                self._warn(error)
            if store is not None:
                store.close()
            return None
        self._has_warned = False
        return store

    def _settle(self, exchange: Exchange) -> None:
        with self._changed:
            if self._waiting.get(exchange.id) is exchange:
                del self._waiting[exchange.id]
            self._changed.notify_all()
