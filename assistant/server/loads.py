"""Getting a model into memory: one load at a time, on a thread, tried before anybody relies on it.

Knows no requests, and not what the model is wanted for.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from assistant.engine.interface import Ended, Job, LoadedModel, LoadModel, LoadProgress, Report
from assistant.errors import AssistantError, ModelError, OutOfMemoryError
from assistant.requests import Role, Sampling, Turn
from assistant.server.catalog import Catalog, Edition
from assistant.server.threads import call_in_thread

TRY_TIMEOUT_S = 120.0
"""The first token of a model that was just loaded takes longest: caches are cold, kernels are compiled."""

RETRY_AFTER_S = 5.0
"""A model that could not be loaded is tried again for a request that comes so much later."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadEvents:
    """What happens around a load. All are called on the event loop."""

    prepare: Callable[[Edition], Awaitable[bool]]
    """Makes room, just before a load begins. False: nobody wants that model any more."""
    loaded: Callable[[Edition, LoadedModel], None]
    failed: Callable[[Edition, AssistantError], None]


class LoadQueue:
    """Loads models, one after the other.

    Args:
        catalog: The model store.
        make_loader: Returns the function that loads a model. Called on a thread, when first needed: it may
            import torch.
        events: Told how each load went.
    """

    def __init__(self, catalog: Catalog, make_loader: Callable[[], LoadModel], events: LoadEvents) -> None:
        self._catalog = catalog
        self._make_loader = make_loader
        self._events = events
        self._load: LoadModel | None = None
        self._progress: dict[Edition, LoadProgress] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    def find_progress(self, edition: Edition) -> LoadProgress | None:
        """How far the load of a model is, or None where it is not under way."""
        return self._progress.get(edition)

    def is_busy(self) -> bool:
        """Whether anything is loaded now."""
        return bool(self._progress)

    def start(self, edition: Edition) -> LoadProgress:
        """Load a model, unless that is under way."""
        if edition not in self._progress:
            self._progress[edition] = LoadProgress(stage="waiting to load")
            task = asyncio.get_running_loop().create_task(self._run(edition))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._progress[edition]

    def stop(self) -> None:
        """Stop waiting for loads. One that runs cannot be interrupted: its thread ends with the process."""
        for task in list(self._tasks):
            task.cancel()

    async def _run(self, edition: Edition) -> None:
        try:
            outcome = await self._attempt(edition)
        finally:
            del self._progress[edition]
        if isinstance(outcome, AssistantError):
            self._events.failed(edition, outcome)
        elif outcome is not None:
            self._events.loaded(edition, outcome)

    async def _attempt(self, edition: Edition) -> LoadedModel | AssistantError | None:
        async with self._turn:
            if not await self._events.prepare(edition):
                return None
            _log.info("model %s: loading", edition.name)
            try:
                model = await self._load_in_thread(edition)
            except Exception as error:  # noqa: BLE001 - a model fails in any way, and the process goes on
                return explain_failure(error, f"model {edition.name} cannot be loaded")
            _log.info("model %s: loaded", edition.name)
            return model

    async def _load_in_thread(self, edition: Edition) -> LoadedModel:
        loop = asyncio.get_running_loop()

        def note(progress: LoadProgress) -> None:
            if edition in self._progress:
                self._progress[edition] = progress

        def report(progress: LoadProgress) -> None:
            with contextlib.suppress(RuntimeError):  # the event loop has ended
                loop.call_soon_threadsafe(note, progress)

        def load() -> LoadedModel:
            report(LoadProgress(stage="checking the model's files"))
            directory = self._catalog.resolve(edition.name)
            report(LoadProgress(stage="starting the engine"))
            self._load = self._load or self._make_loader()
            return load_and_try(self._load, directory, report)

        return await call_in_thread(load)


class Failures:
    """Why models could not be loaded, and when."""

    def __init__(self) -> None:
        self._errors: dict[Edition, AssistantError] = {}
        self._times: dict[Edition, float] = {}

    def __contains__(self, edition: Edition) -> bool:
        return edition in self._errors

    def note(self, edition: Edition, error: AssistantError) -> None:
        """Remember a failure."""
        self._errors[edition] = error
        self._times[edition] = time.monotonic()

    def find(self, edition: Edition) -> AssistantError | None:
        """Return why a model could not be loaded, or None where nothing is known against it."""
        return self._errors.get(edition)

    def is_recent(self, edition: Edition) -> bool:
        """Whether it is too early to try again."""
        return edition in self._errors and time.monotonic() - self._times[edition] < RETRY_AFTER_S

    def forget(self, edition: Edition) -> None:
        """Nothing is known against this model any more."""
        self._errors.pop(edition, None)

    def forget_shortages(self) -> None:
        """Memory became free: what found none may fit now."""
        for edition, error in list(self._errors.items()):
            if isinstance(error, OutOfMemoryError):
                self.forget(edition)


def load_and_try(load: LoadModel, directory: Path, report: Callable[[LoadProgress], None]) -> LoadedModel:
    """Load a model and let it make one token.

    Raises:
        AssistantError: It cannot be served; nothing of it is left in memory.
    """
    model = load(directory, report)
    try:
        report(LoadProgress(stage="trying the model"))
        _try(model)
    except BaseException:
        model.close()
        raise
    return model


def _try(model: LoadedModel) -> None:
    reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
    ids = model.encode_turns([Turn(role=Role.USER, text="Print hello")])
    job = Job(ids=ids, sampling=Sampling(max_tokens=1, seed=0), sink=reports.put)
    model.submit(job)
    try:
        while not isinstance(report := reports.get(timeout=TRY_TIMEOUT_S), Ended):
            pass
    except queue.Empty:
        job.cancelled.set()
        raise ModelError(f"model {model.name} loads, but makes no token in {TRY_TIMEOUT_S:g} s") from None
    if report.error is not None:
        raise report.error


def explain_failure(error: Exception, what: str) -> AssistantError:
    """Put a failure into words for the user, and whatever nobody foresaw into the log."""
    if isinstance(error, AssistantError):
        _log.warning("%s: %s", what, type(error).__name__)
        return error
    _log.error("%s", what, exc_info=error)
    return ModelError(f"{what}: {type(error).__name__}", hint="`assistant doctor` names the log")
