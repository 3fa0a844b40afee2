"""The models in memory, and which of them answers. Knows no store and no HTTP.

A model stays as long as a request holds a lease on it; everything runs on the event loop, closing excepted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from assistant.engine.interface import LoadedModel
from assistant.server.catalog import Edition
from assistant.server.threads import call_in_thread

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True, eq=False)
class Seat:
    """A model in memory."""

    edition: Edition
    model: LoadedModel
    last_used: float
    """In `time.monotonic` seconds."""
    running: int = 0
    """Requests that have not ended."""
    is_replaced: bool = False
    """It was the active one, and goes with its last answer."""


class Lease:
    """The right to use a model for one request, held until the engine is done with it."""

    def __init__(self, seat: Seat, on_release: Callable[[Seat], None]) -> None:
        self._seat = seat
        self._on_release = on_release
        self._is_held = True
        seat.running += 1

    @property
    def model(self) -> LoadedModel:
        """The model, which stays in memory as long as this is held."""
        return self._seat.model

    def release(self) -> None:
        """Give it back. More than once is no harm."""
        if self._is_held:
            self._is_held = False
            self._seat.running -= 1
            self._seat.last_used = time.monotonic()
            self._on_release(self._seat)


class Seats:
    """The active model, and those beside it: guests that a request named, and the ones that were replaced."""

    def __init__(self) -> None:
        self.active: Seat | None = None
        self.others: list[Seat] = []
        self._closing: set[asyncio.Future[None]] = set()

    def all(self) -> list[Seat]:
        """Every model in memory, the active one first."""
        return [*([self.active] if self.active else []), *self.others]

    def find(self, edition: Edition) -> Seat | None:
        """Return the seat of this very edition."""
        return next((seat for seat in self.all() if seat.edition == edition), None)

    def find_named(self, name: str) -> Seat | None:
        """Return the seat of a model of that name, the active one first."""
        return next((seat for seat in self.all() if seat.edition.name == name), None)

    def running(self) -> int:
        """Requests that have not ended, on all models."""
        return sum(seat.running for seat in self.all())

    def add(self, edition: Edition, model: LoadedModel) -> Seat:
        """Take a loaded model in, beside the active one."""
        seat = Seat(edition=edition, model=model, last_used=time.monotonic())
        self.others.append(seat)
        return seat

    def promote(self, seat: Seat) -> None:
        """Make a model the active one. The others go, those that still answer with their last answer."""
        self.others.remove(seat)
        if self.active is not None:
            self.others.append(self.active)
        for other in self.others:
            other.is_replaced = True
        seat.is_replaced = False
        self.active = seat
        _log.info("model %s: active", seat.edition.name)
        self.sweep()

    def sweep(self) -> None:
        """Close what was replaced and has nothing left to answer."""
        for seat in [seat for seat in self.others if seat.is_replaced and not seat.running]:
            self.close(seat)

    def close(self, seat: Seat) -> None:
        """Give a model's memory back, on a thread."""
        if seat is self.active:
            self.active = None
        else:
            self.others.remove(seat)
        _log.info("model %s: closing", seat.edition.name)
        closing = call_in_thread(seat.model.close)
        self._closing.add(closing)
        closing.add_done_callback(self._note_closed)

    async def wait_closed(self, timeout_s: float) -> bool:
        """Wait until every model that is being closed has given its memory back; return whether all have."""
        if self._closing:
            await asyncio.wait(self._closing, timeout=timeout_s)
        return not self._closing

    def _note_closed(self, closing: asyncio.Future[None]) -> None:
        self._closing.discard(closing)
        if not closing.cancelled() and closing.exception() is not None:
            _log.error("a model could not be closed", exc_info=closing.exception())
