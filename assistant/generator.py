"""The seam: what every front end needs from whatever makes text, and a scripted fake of it.

Knows nothing of sockets, models or screens.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Protocol

from assistant.errors import AssistantError
from assistant.requests import Done, Event, Failed, FinishReason, Request, Started, Token, Usage


class EventStream(Protocol):
    """The events of one request, ending in `Done` or `Failed`, or early after `close`."""

    def __iter__(self) -> Iterator[Event]: ...

    def __next__(self) -> Event: ...

    def close(self) -> None:
        """Stop generating. From any thread, any number of times; a waiting `next` ends."""
        ...


class TextGenerator(Protocol):
    """Makes text for a request."""

    def stream(self, request: Request) -> EventStream:
        """Start a request. Failures arrive as a `Failed` event, never as an exception."""
        ...


class ScriptedGenerator:
    """A generator that says what it was told to: for tests and demonstrations.

    Args:
        replies: One reply for each request, in order; the last repeats. A reply is its pieces, or an
            error to fail with.
        pause_s: Seconds to wait before each piece.
    """

    def __init__(self, replies: Iterable[Iterable[str] | AssistantError], *, pause_s: float = 0.0) -> None:
        self._replies: list[list[str] | AssistantError] = [
            reply if isinstance(reply, AssistantError) else list(reply) for reply in replies
        ]
        self._pause_s = pause_s
        self.requests: list[Request] = []
        """Every request so far, oldest first."""
        self.closed = 0
        """How many streams were closed before their end."""

    def stream(self, request: Request) -> EventStream:
        """Answer with the next reply."""
        reply = self._replies[min(len(self.requests), len(self._replies) - 1)]
        self.requests.append(request)
        return _ScriptedStream(self, reply, self._pause_s, len(self.requests))


class _ScriptedStream:
    def __init__(
        self, owner: ScriptedGenerator, reply: list[str] | AssistantError, pause_s: float, number: int
    ) -> None:
        self._owner = owner
        self._stop = threading.Event()
        self._pause_s = pause_s
        self._events = iter(_scripted_events(reply, number))
        self._ended = False

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._stop.is_set():
            raise StopIteration
        event = next(self._events)
        if isinstance(event, Token) and self._stop.wait(self._pause_s):
            raise StopIteration
        self._ended = isinstance(event, Done | Failed)
        return event

    def close(self) -> None:
        if not self._ended and not self._stop.is_set():
            self._owner.closed += 1
        self._stop.set()


def _scripted_events(reply: list[str] | AssistantError, number: int) -> Iterator[Event]:
    yield Started(request_id=f"scripted-{number}", model="scripted")
    if isinstance(reply, AssistantError):
        yield Failed(error=reply)
        return
    for piece in reply:
        yield Token(text=piece)
    usage = Usage(prompt_tokens=0, completion_tokens=len(reply))
    yield Done(finish_reasons=(FinishReason.STOP,), usage=usage, model="scripted")
