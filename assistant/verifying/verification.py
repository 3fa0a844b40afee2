"""Several answers to one task, run against its tests as they come, until one passes.

Knows no flags, no screens and no generator, judge or sandbox but those that it is given.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from assistant.errors import AssistantError
from assistant.generator import TextGenerator
from assistant.judging.interface import Judgement, Suite
from assistant.replies import Code, extract_code
from assistant.requests import Loading, Request, Started, Usage
from assistant.sandbox.interface import Backend
from assistant.verifying.candidates import (
    Candidate,
    CandidateJudged,
    CandidateWritten,
    Repairing,
    Verified,
    VerifyingEvent,
    choose_best,
)
from assistant.verifying.runs import Judge, Judged, Runs
from assistant.verifying.wording import build_repair
from assistant.verifying.writing import Batch, News, Reply, StreamOver


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is tried."""

    candidates: int = 8
    """The first is the likeliest answer; the others are sampled."""
    repairs: int = 4
    """So many more once none has passed, told what is wrong with the best; 0 for none."""
    temperature: float = 0.8
    """Of the sampled ones, as `top_p`."""
    top_p: float = 0.95
    wall_s: float | None = None
    """Seconds for all of it, loading included; None for no limit."""
    patience_s: float = 1.0
    """Once a sampled answer passes, the likeliest, which wins if it passes too, has as long again as that
    took, and at least so many seconds."""


def build_effort(temperature: float, top_p: float) -> Effort:
    """Return the usual effort with the sampling that is asked for, where that is any."""
    usual = Effort()
    return replace(
        usual, temperature=temperature or usual.temperature, top_p=top_p if top_p < 1 else usual.top_p
    )


class Verification:
    """The events of one verified answer, `Verified` the last. Read it from one thread.

    Args:
        request: What is asked. The tests should be in it: what is not shown can only be guessed.
        suite: The tests.
        generator: Who writes.
        judge: Who runs the tests.
        sandbox: Where they run.
        effort: How much is tried.
        extract: Takes from a reply what is run.
    """

    def __init__(
        self,
        request: Request,
        suite: Suite,
        *,
        generator: TextGenerator,
        judge: Judge,
        sandbox: Backend,
        effort: Effort | None = None,
        extract: Callable[[str], Code] = extract_code,
    ) -> None:
        self._effort = effort or Effort()
        sampling = replace(request.sampling, temperature=self._effort.temperature, top_p=self._effort.top_p)
        self._request = replace(request, sampling=sampling)
        self._suite = suite
        self._generator = generator
        self._extract = extract
        self._news: queue.SimpleQueue[News | Judged | None] = queue.SimpleQueue()
        self._runs = Runs(suite, judge, sandbox, self._news.put)
        self._batch: Batch | None = None
        self._candidates: dict[int, Candidate] = {}
        self._ends: list[StreamOver] = []
        self._started: Started | None = None
        self._error: AssistantError | None = None
        self._failure: AssistantError | None = None
        self._requests = 0
        self._is_stopped = False
        self._began = time.monotonic()
        self._grace_ends: float | None = None
        self._events = self._run()

    def __iter__(self) -> Iterator[VerifyingEvent]:
        return self

    def __next__(self) -> VerifyingEvent:
        return next(self._events)

    def close(self) -> None:
        """Stop: the next event is `Verified`, with the best so far. From any thread, any number of times."""
        self._is_stopped = True
        self._news.put(None)
        if self._batch is not None:
            self._batch.close()
        self._runs.stop()

    def _run(self) -> Iterator[VerifyingEvent]:
        try:
            yield from self._try(self._request, self._effort.candidates)
            best = choose_best(self._candidates.values())
            if best is not None and self._can_repair(best):
                yield Repairing(candidate=best, count=self._effort.repairs)
                yield from self._try(build_repair(self._request, best), self._effort.repairs)
            yield self._conclude()
        finally:
            self._runs.stop()
            if self._batch is not None:
                self._batch.close()

    def _can_repair(self, best: Candidate) -> bool:
        """Whether there is time, and something to be told that could be done better."""
        is_over = self._is_stopped or self._error is not None
        return (
            not is_over
            and self._effort.repairs > 0
            and best.judgement is not None
            and not best.is_unsurpassed
        )

    def _try(self, request: Request, count: int) -> Iterator[VerifyingEvent]:
        """Have candidates written and run, until one passes or all have been."""
        first = max(self._candidates, default=-1) + 1
        batch = Batch(self._generator, request, count=count, first_number=first, tell=self._news.put)
        self._batch = batch
        self._requests += batch.open_streams
        if self._is_stopped:  # by another thread, which did not know this batch
            batch.close()
        written = 0
        while not self._is_decided(batch):
            arrived = self._take()
            if isinstance(arrived, Exception):
                raise arrived
            match arrived:
                case Loading():
                    yield arrived
                case Started():
                    self._started = self._started or arrived
                    yield arrived
                case Reply():
                    written += 1
                    candidate = self._add(arrived, is_repair=first > 0)
                    judgement = self._start_run(candidate)
                    yield CandidateWritten(candidate=candidate, written=written, of=count)
                    if judgement is not None:
                        yield self._note_judgement(candidate, judgement)
                case StreamOver():
                    batch.open_streams -= 1
                    self._ends.append(arrived)
                    if not first:  # that a repair cannot be had takes nothing from what there is
                        self._failure = self._failure or arrived.error
                case Judged():
                    yield from self._take_judgement(arrived)
                case None:
                    pass
            self._end_sampling(batch)
        batch.close()

    def _is_decided(self, batch: Batch) -> bool:
        if self._is_stopped or self._error is not None:
            return True
        winner = self._find_winner()
        if winner is not None:
            return winner.number == 0 or self._has_lost() or self._is_grace_over()
        return not batch.open_streams and not self._runs.is_busy

    def _find_winner(self) -> Candidate | None:
        return choose_best(each for each in self._candidates.values() if each.is_unsurpassed)

    def _has_lost(self) -> bool:
        """Whether the likeliest answer can win no more: it was run, cannot be, or will not come."""
        likeliest = self._candidates.get(0)
        if likeliest is None:
            return any(not over.is_sampled for over in self._ends)
        return not self._runs.is_running(likeliest.code.text)

    def _is_grace_over(self) -> bool:
        return self._grace_ends is not None and time.monotonic() >= self._grace_ends

    def _end_sampling(self, batch: Batch) -> None:
        """Once one has passed, leave the machine to the likeliest answer, for as long as it still has."""
        if self._grace_ends is None and self._find_winner() is not None:
            now = time.monotonic()
            self._grace_ends = now + max(self._effort.patience_s, now - self._began)
            batch.close(sampled_only=True)

    def _take(self) -> News | Judged | None:
        """Return what arrives next; None where the waiting was ended."""
        wall_s = self._effort.wall_s
        wall_ends = self._began + wall_s if wall_s is not None else None
        ends = [moment for moment in (wall_ends, self._grace_ends) if moment is not None]
        try:
            return self._news.get(timeout=max(min(ends) - time.monotonic(), 0) if ends else None)
        except queue.Empty:
            if wall_ends is not None and time.monotonic() >= wall_ends:
                self.close()
            return None

    def _add(self, reply: Reply, *, is_repair: bool) -> Candidate:
        code = self._extract(reply.text) if reply.text.strip() else Code(text="")
        candidate = Candidate(
            number=reply.number,
            reply=reply.text,
            code=code,
            finish_reason=reply.finish_reason,
            is_repair=is_repair,
        )
        self._candidates[reply.number] = candidate
        return candidate

    def _start_run(self, candidate: Candidate) -> Judgement | None:
        """Have a candidate run, or return its judgement where its code was run before."""
        code = candidate.code.text
        return self._runs.start(code) if code.strip() else None

    def _take_judgement(self, judged: Judged) -> Iterator[VerifyingEvent]:
        self._runs.note(judged)
        if judged.judgement is None:
            self._error = judged.error
            return
        for candidate in list(self._candidates.values()):
            if candidate.code.text == judged.code and candidate.judgement is None:
                yield self._note_judgement(candidate, judged.judgement)

    def _note_judgement(self, candidate: Candidate, judgement: Judgement) -> CandidateJudged:
        judged = replace(candidate, judgement=judgement)
        self._candidates[candidate.number] = judged
        return CandidateJudged(candidate=judged, passed=judgement.passed, total=len(self._suite.cases))

    def _conclude(self) -> Verified:
        whole = tuple(self._candidates[number] for number in sorted(self._candidates))
        unfinished = self._batch.read_unfinished() if self._batch is not None and not whole else []
        chosen = choose_best([*whole, *(self._add(reply, is_repair=False) for reply in unfinished)])
        judgements = [each.judgement for each in whole if each.judgement is not None]
        return Verified(
            chosen=chosen,
            candidates=whole,
            suite=self._suite,
            sandbox=judgements[0].sandbox if judgements else "",
            seconds=time.monotonic() - self._began,
            model=self._started.model if self._started is not None else "",
            request_id=self._started.request_id if self._started is not None else "",
            usage=self._sum_usage(),
            seed=next((over.seed for over in self._ends if over.is_sampled and over.seed is not None), None),
            is_stopped=self._is_stopped,
            error=self._error or self._failure,
        )

    def _sum_usage(self) -> Usage | None:
        known = [over.usage for over in self._ends if over.usage is not None]
        if len(known) < self._requests:
            return None
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in known),
            completion_tokens=sum(usage.completion_tokens for usage in known),
        )
