"""`TextGenerator` over HTTP: each request runs on a thread of its own and hands its events over a queue.

The thread is why `close` works whatever a request is doing: starting a process, resolving a name, waiting.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from assistant.client.connection import build_endpoint
from assistant.client.exchange import Exchange
from assistant.config import Config
from assistant.generator import EventStream
from assistant.requests import Done, Event, Failed, Request


class HttpGenerator:
    """The generator that a configuration selects. Any number of threads may use it.

    Raises:
        AssistantError: The configured address or its token cannot be used.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._endpoint = build_endpoint(config)

    def stream(self, request: Request) -> EventStream:
        """Start a request; its failures are events."""
        arrivals: queue.SimpleQueue[Event | Exception | None] = queue.SimpleQueue()
        exchange = Exchange(self._config, self._endpoint, request, arrivals.put)
        threading.Thread(target=_run, args=(exchange, arrivals), name="exchange", daemon=True).start()
        return _HttpStream(exchange, arrivals)


class _HttpStream:
    """The reader's end. The thread does not know it, so one that is dropped unread ends its request."""

    def __init__(self, exchange: Exchange, arrivals: queue.SimpleQueue[Event | Exception | None]) -> None:
        self._exchange = exchange
        self._arrivals = arrivals
        self._has_ended = False

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        arrival = None if self._has_ended else self._arrivals.get()
        if arrival is None or self._has_ended:
            self._has_ended = True
            self._arrivals.put(None)  # for another thread that waits too
            raise StopIteration
        if isinstance(arrival, Exception):
            self._has_ended = True
            raise arrival
        self._has_ended = isinstance(arrival, Done | Failed)
        return arrival

    def close(self) -> None:
        """Stop generating."""
        self._has_ended = True
        self._arrivals.put(None)
        self._exchange.close()

    def __del__(self) -> None:
        self._exchange.close()


def _run(exchange: Exchange, arrivals: queue.SimpleQueue[Event | Exception | None]) -> None:
    try:
        exchange.run()
    except Exception as error:  # noqa: BLE001  a bug: raised where the events are read, not lost with the thread
        arrivals.put(error)
    arrivals.put(None)
