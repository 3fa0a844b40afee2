"""Generations on threads of their own: started, queued, superseded, stopped. Knows no editor and no protocol.

`Jobs` lives on the event loop. A job's body runs on a daemon thread, which talks back by `Jobs.post` alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from assistant.answers import Answer, AnswerBuilder
from assistant.generator import EventStream
from assistant.requests import Event

T = TypeVar("T")
E = TypeVar("E", covariant=True)

MAX_RUNNING = 4
"""More at once would only wait in the generator's queue, where nobody can supersede them."""

PATIENCE_S = 0.5
"""How often a thread that waits for the event loop looks whether there still is one."""


class StopReason(StrEnum):
    """Why a job was stopped, in words for a person."""

    ASKED = "cancelled"
    SUPERSEDED = "replaced by a newer one"
    CLOSED = "the file was closed"
    SHUTDOWN = "the editor shuts down"


class Followed(Protocol[E]):
    """Events that come to an end, or are made to."""

    def __iter__(self) -> Iterator[E]: ...

    def close(self) -> None:
        """End it, from any thread."""
        ...


class JobStoppedError(Exception):
    """Raised on a job's thread: it was stopped, and its result is of no use any more."""


@dataclass(eq=False, kw_only=True)
class Job:
    """One piece of work for the generator. Any thread may stop it."""

    title: str
    """What the user chose."""
    uri: str
    """The document it works on, as the client names it."""
    request_id: Hashable = None
    """The client's request that asked for it."""
    number: int = 0
    """Counts up: the higher, the newer."""
    stopped: StopReason | None = None
    is_over: bool = False
    """Its body has ended: there is nothing left to stop."""
    _stream: Followed[object] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stop(self, reason: StopReason) -> None:
        """End the generation within one step. The first reason stays."""
        with self._lock:
            if self.is_over or self.stopped is not None:
                return
            self.stopped, stream = reason, self._stream
        if stream is not None:
            stream.close()

    def read(self, stream: EventStream, watch: Callable[[Event], None]) -> Answer:
        """Read a stream to its end, on the job's thread.

        Raises:
            JobStoppedError: Somebody stopped the job.
        """
        builder = AnswerBuilder()

        def take(event: Event) -> None:
            builder.add(event)
            watch(event)

        self.follow(stream, take)
        return builder.build()

    def follow(self, stream: Followed[T], take: Callable[[T], None]) -> None:
        """Take all that comes, on the job's thread.

        Raises:
            JobStoppedError: Somebody stopped the job.
        """
        with self._lock:
            self._stream = stream
        try:
            self.check()  # it may have been stopped before there was a stream to close
            for event in stream:
                take(event)
                self.check()
            self.check()
        finally:
            stream.close()

    def check(self) -> None:
        """Go on, or not.

        Raises:
            JobStoppedError: Somebody stopped the job.
        """
        if self.stopped is not None:
            raise JobStoppedError

    def finish(self) -> None:
        """Note that the body has ended."""
        with self._lock:
            self.is_over = True
            self._stream = None


Body = Callable[[], None]
"""What a job does, on its thread. It must not raise."""


class Jobs:
    """All jobs of one editor.

    Args:
        loop: The event loop that everything but the bodies runs on.
        max_running: So many bodies run at once; the rest wait, and may be superseded before they start.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, max_running: int = MAX_RUNNING) -> None:
        self._loop = loop
        self._max_running = max_running
        self._numbers = itertools.count(1)
        self._waiting: list[tuple[Job, Body]] = []
        self._running: list[Job] = []

    @property
    def active(self) -> list[Job]:
        """The jobs that run or wait, are not over and have not been stopped, oldest first."""
        jobs = [*self._running, *(job for job, _ in self._waiting)]
        alive = (job for job in jobs if job.stopped is None and not job.is_over)
        return sorted(alive, key=lambda job: job.number)

    def start(self, job: Job, body: Body) -> None:
        """Run a body as soon as there is room."""
        job.number = next(self._numbers)
        self._waiting.append((job, body))
        self._fill()

    def stop(self, wanted: Callable[[Job], bool], reason: StopReason) -> int:
        """Stop the jobs that are wanted so, and return how many there were."""
        jobs = [job for job in self.active if wanted(job)]
        for job in jobs:
            job.stop(reason)
        # A stopped body ends at its first check: those that wait need no place for that.
        waiting, self._waiting = self._waiting, []
        for job, body in waiting:
            if job.stopped is None:
                self._waiting.append((job, body))
            else:
                self._spawn(job, body)
        self._fill()
        return len(jobs)

    def post(self, call: Callable[..., object], *arguments: object) -> None:
        """Call something on the event loop, from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it whoever would care
            self._loop.call_soon_threadsafe(call, *arguments)

    def ask(self, job: Job, question: Callable[[], T]) -> T:
        """Call something on the event loop from a job's thread and return what it says.

        Raises:
            JobStoppedError: Somebody stopped the job, or the loop has ended.
        """
        answer: Future[T] = Future()

        def call() -> None:
            try:
                answer.set_result(question())
            except BaseException as error:  # noqa: BLE001 - it is raised where the question was asked
                answer.set_exception(error)

        job.check()
        self.post(call)
        while not self._loop.is_closed():
            with contextlib.suppress(TimeoutError):
                result = answer.result(timeout=PATIENCE_S)
                job.check()
                return result
        raise JobStoppedError

    def _fill(self) -> None:
        while self._waiting and len([j for j in self._running if j.stopped is None]) < self._max_running:
            self._spawn(*self._waiting.pop(0))

    def _spawn(self, job: Job, body: Body) -> None:
        self._running.append(job)

        def run() -> None:
            body()
            job.finish()
            self.post(self._end, job)

        threading.Thread(target=run, name=f"lsp-job-{job.number}", daemon=True).start()

    def _end(self, job: Job) -> None:
        self._running.remove(job)
        self._fill()
