"""What is tried, how it came out, and which of it is the answer. Asks nobody and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from assistant.answers import Answer
from assistant.errors import AssistantError
from assistant.judging.interface import CaseResult, Judgement, Standing, Suite
from assistant.replies import Code
from assistant.requests import FinishReason, Loading, Started, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One answer that is tried."""

    number: int
    """In the order that they were asked for; 0 is the likeliest answer, which nobody sampled."""
    reply: str
    """All that the model wrote."""
    code: Code
    """What is run."""
    finish_reason: FinishReason
    """`cancelled` where it was not written to its end."""
    is_repair: bool = False
    """The model was shown what was wrong with an earlier one."""
    judgement: Judgement | None = None
    """None where it has not been run: it has no code, or there was no time."""

    @property
    def is_whole(self) -> bool:
        """Whether it was written to its end, or as far as it may go."""
        return self.finish_reason is not FinishReason.CANCELLED

    @property
    def passed(self) -> int:
        """How many tests hold."""
        return self.judgement.passed if self.judgement is not None else 0

    @property
    def has_passed(self) -> bool:
        """Whether all tests hold."""
        return self.judgement is not None and self.judgement.has_passed

    @property
    def is_unsurpassed(self) -> bool:
        """Whether all tests hold but those that cannot hold with any code."""
        return self.judgement is not None and all(
            result.standing in (Standing.PASSED, Standing.BROKEN) for result in self.judgement.results
        )

    def find_failure(self) -> CaseResult | None:
        """Return the first test that does not hold; None where all do or none was run."""
        results = self.judgement.results if self.judgement is not None else ()
        return next((result for result in results if result.standing is not Standing.PASSED), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateWritten:
    """A candidate has come to its end, and is run next."""

    candidate: Candidate
    written: int
    """How many of this round have been written."""
    of: int
    """How many there will be in this round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateJudged:
    """A candidate has been run."""

    candidate: Candidate
    passed: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repairing:
    """None has passed: the best of them goes back to the model with what is wrong with it."""

    candidate: Candidate
    count: int
    """How many repairs are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """The end, whatever came of it."""

    chosen: Candidate | None
    """The answer; None where nothing was written."""
    candidates: tuple[Candidate, ...]
    """All that were written to their end, in the order of their numbers."""
    suite: Suite
    sandbox: str
    """What they ran in; empty where none ran."""
    seconds: float
    model: str = ""
    request_id: str = ""
    usage: Usage | None = None
    """Of all requests together; None where one was ended early, which does not say."""
    seed: int | None = None
    is_stopped: bool = False
    """Somebody ended it, or its time was over."""
    error: AssistantError | None = None
    """Why it could not go on, where it could not."""

    @property
    def is_verified(self) -> bool:
        """Whether the answer passes all tests."""
        return self.chosen is not None and self.chosen.has_passed

    @property
    def answer(self) -> Answer:
        """The answer as if it were the only one."""
        chosen = self.chosen
        return Answer(
            texts=(chosen.reply if chosen is not None else "",),
            finish_reasons=(chosen.finish_reason if chosen is not None else FinishReason.CANCELLED,),
            usage=self.usage,
            model=self.model,
            request_id=self.request_id,
            seed=self.seed,
            seconds=self.seconds,
            error=None if self.is_verified else self.error,
        )


VerifyingEvent = Loading | Started | CandidateWritten | CandidateJudged | Repairing | Verified


def choose_best(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the answer: the one that passes most; of several the likeliest, else the shortest code."""

    def merit(candidate: Candidate) -> tuple[bool, int, bool, bool, bool, int]:
        return (
            not candidate.has_passed,
            -candidate.passed,
            not candidate.is_whole,
            not candidate.code.text.strip(),
            candidate.number != 0,
            len(candidate.code.text),
        )

    return min(candidates, key=merit, default=None)
