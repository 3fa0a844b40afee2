"""Gives requests a model, the active one of the store or one they name: loads, swaps and unloads them.

Runs on the event loop alone. The policy in short: a model is loaded when it is wanted and tried before it is
used; the old one answers meanwhile; answers end on the model they began with; what serves is kept when its
successor cannot be loaded; memory is given back when nobody asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from assistant.config import ModelsSettings, ServerSettings
from assistant.engine.interface import LoadedModel, LoadModel, LoadProgress
from assistant.errors import AssistantError, OutOfMemoryError
from assistant.server.catalog import Catalog, Edition, find_active_edition, find_edition
from assistant.server.loads import Failures, LoadEvents, LoadQueue, explain_failure
from assistant.server.refusals import RefusedError, model_refusal
from assistant.server.seats import Lease, Seat, Seats
from assistant.server.threads import call_in_thread

CLOSE_TIMEOUT_S = 30.0
"""A load waits so long for the memory of models that are being closed."""
STOP_TIMEOUT_S = 1.0


class ModelHost:
    """The models of one server.

    Args:
        catalog: The model store.
        make_loader: See `LoadQueue`.
        settings: How long models stay, and how many requests may wait.
        on_idle: Called once nobody has asked for anything for `idle_exit_s`.
    """

    def __init__(
        self,
        catalog: Catalog,
        make_loader: Callable[[], LoadModel],
        settings: ServerSettings,
        *,
        on_idle: Callable[[], None],
    ) -> None:
        self.seats = Seats()
        self.settings = settings
        self.swap_error = ""
        """Why the model that was chosen last is not the one that answers."""
        self.catalog = catalog
        self._on_idle = on_idle
        events = LoadEvents(prepare=self._prepare, loaded=self._take_loaded, failed=self._take_failure)
        self._loads = LoadQueue(catalog, make_loader, events)
        self._wanted: Edition | None = None
        self._proven: Edition | None = None
        """What served last: taken again where the wanted one cannot be loaded."""
        self._guests: set[Edition] = set()
        """Models that a request named and that are to be loaded beside the active one."""
        self._failures = Failures()
        self._store_error: AssistantError | None = None
        self._looking = asyncio.Lock()
        self._has_looked = False
        self._must_swap_alone = False
        self._is_resting = False
        self._is_stopping = False
        self._last_use = time.monotonic()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look at the store and begin to load."""
        self._keeper = asyncio.get_running_loop().create_task(self._keep())
        await self.reload()

    def refuse_all(self) -> None:
        """Give no request a model any more: the server ends."""
        self._is_stopping = True

    async def stop(self) -> bool:
        """Close every model. Whoever still holds a lease gets the end of its job from the engine.

        Returns:
            Whether everything has ended; a load cannot be interrupted, nor an engine that hangs.
        """
        is_loading = self._loads.is_busy()
        if self._keeper is not None:
            self._keeper.cancel()
        self._loads.stop()
        for seat in self.seats.all():
            self.seats.close(seat)
        return await self.seats.wait_closed(STOP_TIMEOUT_S) and not is_loading

    async def reload(self) -> None:
        """Look which model the store wants served, and begin to load it where that is another one."""
        async with self._looking:
            try:
                edition = await call_in_thread(find_active_edition, self.catalog)
            except (AssistantError, OSError, ValueError) as error:
                self._store_error = explain_failure(error, "the model store cannot be read")
                self.swap_error = self._store_error.message if self.seats.active else ""
                return
            finally:
                self._has_looked = True
        self._store_error = None
        self._want(edition)

    async def lease(self, name: str) -> Lease:
        """Give a request a model, and count it as running there.

        Args:
            name: A model of the store; empty for the active one.

        Raises:
            RefusedError: There is no such model, it is not loaded yet or cannot be, or too many wait for it.
        """
        if self._is_stopping:
            raise RefusedError(503, "stopping", "the generator is ending")
        self._last_use = time.monotonic()
        if self._is_resting:
            self._is_resting = False
            await self.reload()
        seat = self.seats.find_named(name) if name else self.seats.active
        if seat is None:
            edition = await self._find_target(name)
            seat = self.seats.find(edition)
            if seat is None:
                raise self._refusal_while_loading(edition)
        if seat.running >= seat.model.slots + self.settings.max_waiting:
            after = [("retry-after", "1")]
            raise RefusedError(429, "queue_full", "too many requests wait for this model", headers=after)
        if seat is not self.seats.active:
            seat.is_replaced = False
        return Lease(seat, self._note_release)

    async def _find_target(self, name: str) -> Edition:
        if name:
            try:
                edition = await call_in_thread(find_edition, self.catalog, name)
            except AssistantError as error:
                raise model_refusal(error) from None
            if edition != self._wanted:
                self._guests.add(edition)
            return edition
        if self._choose() is None:
            await self.reload()
        target = self._choose()
        if target is None:
            raise self.missing_refusal()
        return target

    def _refusal_while_loading(self, edition: Edition) -> RefusedError:
        failure = self._failures.find(edition)
        if failure is not None and self._failures.is_recent(edition):
            self._guests.discard(edition)
            return model_refusal(failure)
        progress = self._loads.start(edition)
        return RefusedError(
            503,
            "model_loading",
            "the model is being loaded",
            headers=[("retry-after", "1")],
            fields={"stage": progress.stage, "fraction": progress.fraction},
        )

    def missing_refusal(self) -> RefusedError:
        """Say why there is nothing that could be loaded."""
        if self._store_error is not None:
            return model_refusal(self._store_error)
        hint = f"`assistant models pull {ModelsSettings().default} --use` fetches a small one"
        return RefusedError(503, "no_model", "no model is active", hint=hint)

    def find_progress(self) -> LoadProgress | None:
        """How far the load is that requests wait for, or None where none is under way."""
        if not self._has_looked:
            return LoadProgress(stage="looking at the model store")
        target = self._choose()
        if self.seats.active is not None or target is None:
            return None
        return self._loads.find_progress(target)

    def find_refusal(self) -> RefusedError | None:
        """Why there is no model to answer with, or None where the next request gets one or loads one."""
        target = self._choose()
        if self.seats.active is not None:
            return None
        if target is None:
            return self.missing_refusal()
        failure = self._failures.find(target)
        return None if failure is None else model_refusal(failure)

    def wanted_name(self) -> str:
        """The name of the model that the store wants served, or the empty string."""
        return self._wanted.name if self._wanted else ""

    def _choose(self) -> Edition | None:
        """What should answer requests that name no model."""
        for edition in (self._wanted, self._proven):
            if edition is not None and edition not in self._failures:
                return edition
        return self._wanted

    def _want(self, edition: Edition | None) -> None:
        if edition != self._wanted:
            self._must_swap_alone = False
            self._wanted = edition
            if edition is not None:
                self._failures.forget(edition)
        self.swap_error = ""
        if edition is None:
            self.swap_error = "no model is active in the store" if self.seats.active else ""
            return
        seat, failure = self.seats.find(edition), self._failures.find(edition)
        if seat is not None:
            if seat is not self.seats.active:
                self._activate(seat)
        elif failure is not None:
            self.swap_error = failure.message
        elif not self._is_resting:
            self._loads.start(edition)

    async def _prepare(self, edition: Edition) -> bool:
        is_guest = edition in self._guests
        if not is_guest and edition not in (self._wanted, self._choose()):
            return False
        for seat in self.seats.others if is_guest else ():
            seat.is_replaced = True
        self.seats.sweep()
        await self.seats.wait_closed(CLOSE_TIMEOUT_S)
        return True

    def _take_loaded(self, edition: Edition, model: LoadedModel) -> None:
        self._failures.forget(edition)
        is_guest = edition in self._guests
        self._guests.discard(edition)
        seat = self.seats.add(edition, model)
        if edition == self._wanted or (self.seats.active is None and edition == self._choose()):
            self._activate(seat)
        elif not is_guest:
            self.seats.close(seat)

    def _activate(self, seat: Seat) -> None:
        self.seats.promote(seat)
        self._proven = seat.edition
        if seat.edition == self._wanted:
            self.swap_error = ""

    def _take_failure(self, edition: Edition, error: AssistantError) -> None:
        self._failures.note(edition, error)
        self._guests.discard(edition)
        fallback = self._choose()
        if edition != self._wanted or fallback is None or fallback == edition:
            return
        self.swap_error = error.message
        if self.seats.active is None:
            self._loads.start(fallback)
        elif isinstance(error, OutOfMemoryError):
            self._must_swap_alone = True
            self._swap_alone()

    def _swap_alone(self) -> None:
        """Where two models do not fit, unload the old one as soon as it is free; then load the new one."""
        active = self.seats.active
        if not self._must_swap_alone or self._wanted is None or active is None or active.running:
            return
        self._must_swap_alone = False
        self._failures.forget(self._wanted)
        self.seats.close(active)
        self._loads.start(self._wanted)

    def _note_release(self, seat: Seat) -> None:
        self._last_use = seat.last_used
        self.seats.sweep()
        self._swap_alone()

    async def _keep(self) -> None:
        limits = [limit for limit in (self.settings.idle_unload_s, self.settings.idle_exit_s) if limit]
        while limits:
            await asyncio.sleep(min(30.0, max(0.05, min(limits) / 10)))
            if not self._loads.is_busy():
                self._unload_idle(time.monotonic())

    def _unload_idle(self, now: float) -> None:
        unload_s, exit_s = self.settings.idle_unload_s, self.settings.idle_exit_s
        for seat in self.seats.all() if unload_s else []:
            if seat.running or now - seat.last_used < unload_s:
                continue
            if seat is self.seats.active:
                self._is_resting = True
                self._failures.forget_shortages()
            self.seats.close(seat)
        if exit_s and not self.seats.running() and now - self._last_use >= exit_s:
            self._on_idle()
