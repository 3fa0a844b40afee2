"""What is measured of a model on the held-out rows: the one list of all measures. Knows no model.

A further measure is a function of the results, and one more entry of `MEASURES`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from assistant.errors import AssistantError
from assistant.replies import extract_code
from finetune.examples import Example

COPY_LINES = 3
"""Shorter code is the same by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """What a model made of one held-out row."""

    example: Example
    nats: float
    """Of the row's code and its end, all tokens together."""
    tokens: int
    right: int
    """So many of them the model would have chosen itself."""
    other_nats: float = 0.0
    """Of another row's code as the answer to this row's task."""
    other_tokens: int = 0
    """0 where that was not measured."""
    reply: str | None = None
    """The greedy answer; None where it was not asked for."""
    has_ended: bool = False
    """Whether the model ended it by itself."""
    passed: bool | None = None
    """Whether an answer passed its problem's tests; None for a row that has none."""


Found = Mapping[str, Sequence[RowResult]]
"""For each model's name its results, row by row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What measures may look at beside the results."""

    trained_code: Collection[str] = ()
    """The code of the training rows, normalised."""


Compute = Callable[[Sequence[RowResult], Context], float | None]
"""Returns None where the results do not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number."""

    key: str
    label: str
    unit: str
    """share, nats or nothing."""
    compute: Compute
    is_better_low: bool = False
    may_worsen: float | None = None
    """The verdict lets it become worse by so much, absolutely; None where it does not look at it."""
    least_ratio: float | None = None
    """It has become worse only if it is less than so many times before, too."""
    is_of_answers: bool = False
    """It counts answers: a single one that is worse is no sign, however few there are."""


def measure_all(results: Sequence[RowResult], context: Context) -> dict[str, float | None]:
    """Compute every measure."""
    return {measure.key: measure.compute(results, context) for measure in MEASURES}


def count_changes(before: Sequence[RowResult], after: Sequence[RowResult]) -> tuple[int, int]:
    """Return how many problems pass now and did not before, and the other way round."""
    pairs = [
        (old.passed, new.passed)
        for old, new in zip(before, after, strict=True)
        if old.passed is not None and new.passed is not None
    ]
    gained = sum(new and not old for old, new in pairs)
    return gained, sum(old and not new for old, new in pairs)


def normalize_code(code: str) -> str:
    """Return code as its syntax tree writes it, or without blank ends where it has none."""
    try:
        return ast.unparse(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "\n".join(line.rstrip() for line in code.strip().splitlines())


def is_program(reply: str) -> bool:
    """Whether the code of a reply is Python, and does something."""
    try:
        code = extract_code(reply)
    except AssistantError:
        return False
    return code.parses and bool(code.text.strip())


def find_nll(results: Sequence[RowResult]) -> float | None:
    """Return the nats per token of all rows together, or None where no token was scored."""
    tokens = sum(one.tokens for one in results)
    return sum(one.nats for one in results) / tokens if tokens else None


def _accuracy(results: Sequence[RowResult], _: Context) -> float | None:
    tokens = sum(one.tokens for one in results)
    return sum(one.right for one in results) / tokens if tokens else None


def _heed(results: Sequence[RowResult], _: Context) -> float | None:
    """How much likelier a task makes its own code than another row's: what is learnt without it is noise."""
    pairs = [one for one in results if one.other_tokens and one.tokens]
    if not pairs:
        return None
    own = sum(one.nats for one in pairs) / sum(one.tokens for one in pairs)
    return sum(one.other_nats for one in pairs) / sum(one.other_tokens for one in pairs) - own


def _parse(results: Sequence[RowResult], _: Context) -> float | None:
    return _share(results, lambda one: is_program(one.reply or ""))


def _stop(results: Sequence[RowResult], _: Context) -> float | None:
    return _share(results, lambda one: one.has_ended)


def _empty(results: Sequence[RowResult], _: Context) -> float | None:
    return _share(results, lambda one: not (one.reply or "").strip())


def _copy(results: Sequence[RowResult], context: Context) -> float | None:
    def is_copy(one: RowResult) -> bool:
        code = normalize_code(one.reply or "")
        return code.count("\n") + 1 >= COPY_LINES and code in context.trained_code

    return _share(results, is_copy)


def _pass(results: Sequence[RowResult], _: Context) -> float | None:
    judged = [one.passed for one in results if one.passed is not None]
    return sum(judged) / len(judged) if judged else None


def _share(results: Sequence[RowResult], holds: Callable[[RowResult], bool]) -> float | None:
    asked = [one for one in results if one.reply is not None]
    return sum(map(holds, asked)) / len(asked) if asked else None


NLL, PASS_RATE = "nll", "pass_rate"
MEASURES: tuple[Measure, ...] = (
    Measure(
        key=NLL,
        label="completion NLL",
        unit="nats",
        compute=lambda results, _: find_nll(results),
        is_better_low=True,
    ),
    Measure(key="token_accuracy", label="token accuracy", unit="share", compute=_accuracy, may_worsen=0.01),
    Measure(
        key="heed", label="effect of the task", unit="nats", compute=_heed, may_worsen=0.02, least_ratio=0.75
    ),
    Measure(
        key="parse_rate",
        label="parse rate",
        unit="share",
        compute=_parse,
        may_worsen=0.05,
        is_of_answers=True,
    ),
    Measure(
        key="stop_rate",
        label="stop rate",
        unit="share",
        compute=_stop,
        may_worsen=0.05,
        is_of_answers=True,
    ),
    Measure(
        key="empty_rate",
        label="empty answers",
        unit="share",
        compute=_empty,
        is_better_low=True,
        may_worsen=0.05,
        is_of_answers=True,
    ),
    Measure(
        key="copy_rate",
        label="copies of training code",
        unit="share",
        compute=_copy,
        is_better_low=True,
        may_worsen=0.2,
        is_of_answers=True,
    ),
    # Whether it fell by more than the noise, problem by problem, is for the verdict to say.
    Measure(key=PASS_RATE, label="suite solved (pass@1)", unit="share", compute=_pass),
)
"""In the order in which they are shown. The first decides; the others may forbid."""
