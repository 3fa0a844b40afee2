"""A generator whose events are given one by one, failures and silence included."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

from assistant.generator import EventStream
from assistant.requests import Done, Event, FinishReason, Request, Started, Token, Usage


class ListedGenerator:
    """Answers every request with the same events.

    Args:
        events: The events, as far as they come.
        hangs: After the last of them wait to be closed, as a busy generator would.
        ignores_close: Wait on even then.
    """

    def __init__(self, events: Iterable[Event], *, hangs: bool = False, ignores_close: bool = False) -> None:
        self.events = list(events)
        self.requests: list[Request] = []
        self.is_closed = threading.Event()
        self.hangs = hangs
        self.ignores_close = ignores_close

    def stream(self, request: Request) -> EventStream:
        self.requests.append(request)
        return _ListedStream(self)


class _ListedStream:
    def __init__(self, owner: ListedGenerator) -> None:
        self._owner = owner
        self._events = iter(owner.events)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            return next(self._events)
        except StopIteration:
            if self._owner.hangs:
                self._owner.is_closed.wait(60)
            raise

    def close(self) -> None:
        if not self._owner.ignores_close:
            self._owner.is_closed.set()


def answer_events(
    *pieces: str, reason: FinishReason = FinishReason.STOP, model: str = "tiny", n: int = 1
) -> list[Event]:
    """The events of an answer that goes well; each of its `n` texts has the same pieces."""
    tokens = [Token(text=piece, index=index) for piece in pieces for index in range(n)]
    done = Done(
        finish_reasons=(reason,) * n,
        usage=Usage(prompt_tokens=11, completion_tokens=len(tokens)),
        model=model,
        seed=7,
        seconds=0.5,
        tokens_per_s=12.34,
    )
    return [Started(request_id="r1", model=model), *tokens, done]
