"""Events from a generator, read on a thread of their own and kept until the screen asks for them.

The screen asks on a clock, so that its work does not depend on how fast the events come.
Knows no Textual.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from assistant.errors import AssistantError
from assistant.generator import EventStream
from assistant.requests import Done, Event, Failed, Loading

Report = Callable[[Loading], None]
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
PAUSE_FOR_COST = 10.0
"""Showing takes at most a tenth of the time: what it cost, so many times, passes until the next time."""


class Pump:
    """Reads one stream.

    Args:
        open_events: Starts the request. It is called on the pump's thread and may take its time; what it
            reports stands before the events.
    """

    def __init__(self, open_events: Callable[[Report], EventStream]) -> None:
        self._open_events = open_events
        self._lock = threading.Lock()
        self._arrived: list[Event] = []
        self._events: EventStream | None = None
        self._is_stopped = False
        self._has_ended = False
        self._bug: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pump", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def take(self) -> tuple[list[Event], bool]:
        """Return what has come since the last time, and whether nothing more will.

        A bug in the generator is raised here, after what came before it was returned.
        """
        with self._lock:
            arrived, self._arrived = self._arrived, []
            has_ended = self._has_ended
            if self._bug is not None and not arrived:
                raise self._bug
        return arrived, has_ended and self._bug is None

    def stop(self) -> None:
        """Stop generating. The end comes soon; what has come stays to be taken."""
        with self._lock:
            self._is_stopped = True
            events = self._events
        if events is not None:
            events.close()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; return whether it has come."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._read()
        except AssistantError as error:
            self._keep(Failed(error=error))
        except Exception as error:  # noqa: BLE001 - a bug: raised where the events are taken
            self._bug = error
        with self._lock:
            self._has_ended = True

    def _read(self) -> None:
        events = self._open_events(self._keep)
        with self._lock:
            self._events = events
            is_stopped = self._is_stopped
        if is_stopped:
            events.close()
        for event in events:
            self._keep(event)
            if isinstance(event, Done | Failed):
                return

    def _keep(self, event: Event) -> None:
        with self._lock:
            self._arrived.append(event)


def pause_for(cost_s: float) -> float:
    """Return how long to wait before showing more.

    Args:
        cost_s: What showing cost the last time.
    """
    return min(max(PAUSE_FOR_COST * cost_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
