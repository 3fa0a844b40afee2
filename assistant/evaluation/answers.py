"""What a model answered and how that was judged: the rows of the two files of an evaluation. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from assistant.errors import UsageError

OVERFLOW = "overflow"
"""The finish of an answer that was not begun: the problem is longer than the model's context."""
Key = tuple[str, int]
"""A problem's id and the number of an answer to it, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer."""

    problem: str
    sample: int
    seed: int
    reply: str
    finish: str
    """A `FinishReason`, or `OVERFLOW`."""
    tokens: int | None = None
    """Of the answer; None where several were made by one request, which counts them together."""

    @property
    def key(self) -> Key:
        """What no other answer has."""
        return self.problem, self.sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How one answer was judged."""

    problem: str
    sample: int
    passed: bool
    tests: int
    tests_passed: int
    parses: bool
    broken: bool
    """A test itself is at fault: no answer could pass it."""
    error: str
    """Of the first test that failed, or why none was run; empty where it passed."""
    sandbox: str
    """Empty where there was nothing to run."""
    seconds: float

    @property
    def key(self) -> Key:
        """What no other answer has."""
        return self.problem, self.sample


def reply_to_row(reply: Reply) -> dict[str, Any]:
    """Return the row of an answer."""
    return asdict(reply)


def score_to_row(score: Score) -> dict[str, Any]:
    """Return the row of a judgement."""
    return asdict(score)


def parse_replies(rows: Iterable[Mapping[str, Any]]) -> dict[Key, Reply]:
    """Turn rows into answers.

    Raises:
        UsageError: A row is none.
    """
    return {reply.key: reply for reply in _parse(rows, Reply)}


def parse_scores(rows: Iterable[Mapping[str, Any]]) -> dict[Key, Score]:
    """Turn rows into judgements.

    Raises:
        UsageError: A row is none.
    """
    return {score.key: score for score in _parse(rows, Score)}


def _parse(rows: Iterable[Mapping[str, Any]], kind: Any) -> Iterable[Any]:
    try:
        return [kind(**row) for row in rows]
    except TypeError as error:
        raise UsageError(f"a row is not of this version: {error}", hint="--replace begins anew") from error
