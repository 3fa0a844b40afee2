"""A generator of candidates, a judge and a sandbox that do as they are told.

A candidate's code says how it comes out: `passes = 2` passes the first two tests of its suite.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence

from assistant.errors import AssistantError, SandboxError
from assistant.generator import EventStream
from assistant.judging.interface import Case, CaseResult, Judgement, Standing, Suite
from assistant.requests import (
    AnswerEnded,
    Done,
    Event,
    Failed,
    FinishReason,
    Request,
    Started,
    Token,
    Usage,
)
from assistant.sandbox.interface import Backend, Job, Limits, Process

Step = str | threading.Event | AssistantError
"""A whole answer, something to wait for before the next one, or a failure."""
SUITE = Suite(cases=tuple(Case(name=f"test {n}", source=f"assert {n}") for n in (1, 2, 3)))
WAIT_S = 20


def never() -> threading.Event:
    """Something to wait for until the stream is closed."""
    return threading.Event()


class CandidateGenerator:
    """Answers requests at temperature 0 from one list, others from another; each list is one round.

    Args:
        likeliest: For each round what comes instead of the likeliest answer.
        sampled: For each round the sampled answers, in the order in which they end.
    """

    def __init__(self, likeliest: Sequence[Sequence[Step]], sampled: Sequence[Sequence[Step]] = ()) -> None:
        self._rounds = {True: list(likeliest), False: list(sampled)}
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.streams: list[CandidateStream] = []

    def stream(self, request: Request) -> EventStream:
        with self._lock:
            self.requests.append(request)
            steps = self._rounds[request.sampling.temperature == 0].pop(0)
            stream = CandidateStream(steps, has_several=request.sampling.n > 1)
            self.streams.append(stream)
        return stream


class CandidateStream:
    def __init__(self, steps: Sequence[Step], *, has_several: bool) -> None:
        self._events = self._tell(steps, has_several=has_several)
        self.is_closed = False
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self.is_closed:
            raise StopIteration
        return next(self._events)

    def close(self) -> None:
        self.is_closed = True

    def _tell(self, steps: Sequence[Step], *, has_several: bool) -> Iterator[Event]:
        yield Started(request_id="r1", model="tiny")
        count = 0
        for step in steps:
            if isinstance(step, AssistantError):
                yield Failed(error=step)
                return
            if isinstance(step, threading.Event):
                while not step.wait(0.005):
                    if self.is_closed:
                        return
                continue
            yield Token(text=step, index=count)
            if has_several:
                yield AnswerEnded(index=count, finish_reason=FinishReason.STOP)
            count += 1
        usage = Usage(prompt_tokens=10, completion_tokens=5 * count)
        yield Done(finish_reasons=(FinishReason.STOP,) * count, usage=usage, model="tiny", seed=7)


class CountingJudge:
    """Judges by what the code says of itself.

    Args:
        on_pass: Set once something has passed.
        error: Raised instead of judging.
        standing: Of the tests that do not pass.
    """

    def __init__(
        self,
        *,
        on_pass: threading.Event | None = None,
        error: Exception | None = None,
        standing: Standing = Standing.FAILED,
    ) -> None:
        self._on_pass = on_pass
        self._error = error
        self._standing = standing
        self.codes: list[str] = []
        self.sandboxes: list[Backend] = []

    def __call__(self, code: str, suite: Suite, *, sandbox: Backend) -> Judgement:
        self.codes.append(code)
        self.sandboxes.append(sandbox)
        if self._error is not None:
            raise self._error
        found = re.search(r"passes = (\d)", code)
        passed = int(found[1]) if found else 0
        if passed == len(suite.cases) and self._on_pass is not None:
            self._on_pass.set()
        results = tuple(
            CaseResult(name=case.name, standing=Standing.PASSED)
            if number < passed
            else CaseResult(name=case.name, standing=self._standing, error="AssertionError: 1 != 2")
            for number, case in enumerate(suite.cases)
        )
        return Judgement(results=results, sandbox=sandbox.name, seconds=0.1)


class NoSandbox:
    """A backend that starts nothing."""

    name = "bubblewrap"

    def start(self, job: Job, limits: Limits) -> Process:
        raise SandboxError("there is none")
