"""Problems into answers by the shared generator, several requests at once. Knows no files and no verdicts.

Each answer has a seed of its own, made of problem and number: an answer does not depend on which others were
made with it, so that what is left of an evaluation gives what the whole would have given. Our own generator
gives the answer number i of a request the request's seed plus i; foreign ones are asked for one at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from assistant import limits
from assistant.errors import (
    AssistantError,
    ContextOverflowError,
    GeneratorBusyError,
    GeneratorError,
    GeneratorLostError,
)
from assistant.evaluation.answers import OVERFLOW, Key, Reply
from assistant.evaluation.problems import Problem
from assistant.generator import EventStream, TextGenerator
from assistant.requests import (
    AnswerEnded,
    Done,
    Event,
    Failed,
    FinishReason,
    Loading,
    Sampling,
    Started,
    Token,
    build_task_request,
)

BUSY_PAUSE_S = 2.0
MAX_BUSY = 30
"""The client itself waits two minutes for a slot: this is an hour."""
MAX_LOST = 3
"""Give up on a request whose generator went away so many times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Answers to one problem that are made by one request."""

    problem: Problem
    first: int
    """The number of the first answer, from 0."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who is asked, and how."""

    generator: TextGenerator
    find_slots: Callable[[], int]
    """How many answers the generator makes at once; asked when it has taken the first request."""
    sampling: Sampling
    """Of one answer; `n` and `seed` are set here."""
    model: str
    seed: int
    largest_group: int = limits.MAX_N
    """Answers of one request at most."""


def find_groups(
    problems: Iterable[Problem], samples: int, done: Iterable[Key], *, largest: int
) -> list[Group]:
    """Return what is left to ask, in the order of the problems."""
    there = set(done)
    groups: list[Group] = []
    for problem in problems:
        missing = [number for number in range(samples) if (problem.id, number) not in there]
        groups += [Group(problem=problem, first=run[0], count=len(run)) for run in _runs(missing, largest)]
    return groups


def find_seed(problem: str, seed: int) -> int:
    """Return the seed of the first answer to a problem; the next ones follow it."""
    digest = hashlib.sha256(f"{seed} {problem}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:4], "big") >> 2  # some servers take 32 bits with a sign


def stream_replies(groups: Sequence[Group], asking: Asking) -> Generator[Reply | Loading]:
    """Yield answers as they come, and what is waited for. Closing it stops everything.

    Raises:
        AssistantError: The generator does not answer; what was yielded stands.
    """
    if not groups:
        return
    workers = _Workers(groups, asking)
    with contextlib.closing(workers):
        yield from workers.stream()


class _Workers:
    """Threads that each stream one request after another: one at first, more once a model is there."""

    def __init__(self, groups: Sequence[Group], asking: Asking) -> None:
        self._asking = asking
        self._size = max(group.count for group in groups)
        self._waiting: queue.SimpleQueue[Group] = queue.SimpleQueue()
        for group in groups:
            self._waiting.put(group)
        self._left = sum(group.count for group in groups)
        self._arrivals: queue.SimpleQueue[Reply | Loading | Started | Exception] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._streams: set[EventStream] = set()
        self._threads = 0

    def stream(self) -> Iterator[Reply | Loading]:
        self._start(1)
        while self._left:
            match self._arrivals.get():
                case Reply() as reply:
                    self._left -= 1
                    yield reply
                case Loading() as loading:
                    yield loading
                case Started():
                    if self._threads == 1:
                        self._start(self._count_requests() - 1)
                case error:
                    raise error

    def close(self) -> None:
        self._stopped.set()
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.close()

    def _count_requests(self) -> int:
        """As many as fill the slots; one more waits where answers of a request end at different times."""
        try:
            slots = max(1, self._asking.find_slots())
        except GeneratorError:
            return 1
        return slots if self._size == 1 else -(-slots // self._size) + 1

    def _start(self, count: int) -> None:
        for _ in range(count):
            self._threads += 1
            threading.Thread(target=self._work, name="evaluating", daemon=True).start()

    def _work(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    group = self._waiting.get_nowait()
                except queue.Empty:
                    return
                self._ask_until_answered(group)
        except Exception as error:  # noqa: BLE001  raised where the answers are read, not lost with the thread
            self._arrivals.put(error)

    def _ask_until_answered(self, group: Group) -> None:
        missing = set(range(group.first, group.first + group.count))
        busy = lost = 0
        while missing and not self._stopped.is_set():
            run = next(_runs(sorted(missing), group.count))
            error = self._ask(group.problem, run, missing)
            if error is None:
                continue
            busy += isinstance(error, GeneratorBusyError)
            lost += isinstance(error, GeneratorLostError)
            is_hopeful = isinstance(error, GeneratorBusyError | GeneratorLostError)
            if not is_hopeful or busy >= MAX_BUSY or lost >= MAX_LOST:
                raise error
            self._stopped.wait(BUSY_PAUSE_S)

    def _ask(self, problem: Problem, run: Sequence[int], missing: set[int]) -> AssistantError | None:
        """Ask once and take from `missing` what was answered; return why not all was."""
        asked, seed = self._asking.sampling, find_seed(problem.id, self._asking.seed) + run[0]
        sampling = replace(asked, seed=seed, n=len(run))
        request = build_task_request(problem.task, problem.input, sampling=sampling, model=self._asking.model)
        attempt = _Attempt(problem.id, run, seed, self._arrivals.put)
        with self._opened(self._asking.generator.stream(request)) as events:
            for event in events:
                if isinstance(event, Loading | Started):
                    self._arrivals.put(event)
                attempt.take(event)
        missing -= attempt.ended
        if attempt.error is not None or missing.isdisjoint(run):
            return attempt.error
        return GeneratorLostError(
            "the generator ended an answer early", hint="`assistant doctor` shows its log"
        )

    @contextlib.contextmanager
    def _opened(self, stream: EventStream) -> Generator[EventStream]:
        with self._lock:
            self._streams.add(stream)
        try:
            if self._stopped.is_set():
                stream.close()
            yield stream
        finally:
            with self._lock:
                self._streams.discard(stream)
            stream.close()


class _Attempt:
    """The answers of one request. An answer that was cancelled is none.

    Args:
        problem: Its id.
        run: The numbers of the answers.
        seed: Of the first.
        emit: Takes each answer that has ended.
    """

    def __init__(self, problem: str, run: Sequence[int], seed: int, emit: Callable[[Reply], None]) -> None:
        self._problem = problem
        self._run = run
        self._seed = seed
        self._emit = emit
        self._texts: list[list[str]] = [[] for _ in run]
        self.ended: set[int] = set()
        """The numbers of those that have come."""
        self.error: AssistantError | None = None

    def take(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case Token(text=text, index=index) if index < len(self._run):
                self._texts[index].append(text)
            case AnswerEnded(index=index, finish_reason=reason) if index < len(self._run):
                self._end(index, reason.value, None)
            case Done(finish_reasons=reasons, usage=usage):
                tokens = usage.completion_tokens if usage and len(self._run) == 1 else None
                for index, reason in enumerate(reasons[: len(self._run)]):
                    self._end(index, reason.value, tokens)
            case Failed(error=ContextOverflowError()):
                for index in range(len(self._run)):
                    self._end(index, OVERFLOW, 0)
            case Failed(error=error):
                self.error = error
            case _:
                pass

    def _end(self, index: int, finish: str, tokens: int | None) -> None:
        number = self._run[index]
        if finish == FinishReason.CANCELLED or number in self.ended:
            return
        self.ended.add(number)
        text, seed = "".join(self._texts[index]), self._seed + index
        self._emit(
            Reply(problem=self._problem, sample=number, seed=seed, reply=text, finish=finish, tokens=tokens)
        )


def _runs(numbers: Sequence[int], largest: int) -> Iterator[list[int]]:
    """Yield numbers that follow each other, so many at most."""
    run: list[int] = []
    for number in numbers:
        if run and (number != run[-1] + 1 or len(run) == largest):
            yield run
            run = []
        run.append(number)
    if run:
        yield run
