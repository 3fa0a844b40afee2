"""Before and after into one sentence: improved, no change, worse, broken, or not to be told. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from assistant.evaluation.comparing import SIGNIFICANT
from assistant.evaluation.statistics import mcnemar_p
from finetune.gate.measures import MEASURES, NLL, Measure, RowResult, count_changes

MARGIN = 0.02
"""The completion NLL must fall by this share, unless another margin is asked for."""
LEAST_ROWS = 8
"""Fewer tell nothing."""
SIGMAS = 2.0
"""So many standard errors the mean change of the rows must be away from nothing."""

Numbers = Mapping[str, float | None]


class Outcome(StrEnum):
    """What was found."""

    IMPROVED = "improved"
    UNCHANGED = "no change"
    WORSE = "worse"
    BROKEN = "broken"
    UNKNOWN = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement."""

    outcome: Outcome
    sentence: str
    gain: float = 0.0
    """By which share the completion NLL fell."""

    @property
    def is_better(self) -> bool:
        """Whether the new model may take the old one's place."""
        return self.outcome is Outcome.IMPROVED


def judge(
    before: Sequence[RowResult],
    after: Sequence[RowResult],
    numbers_before: Numbers,
    numbers_after: Numbers,
    *,
    margin: float = MARGIN,
) -> Verdict:
    """Judge a model by the same rows before and after.

    Args:
        before: The old model's results.
        after: The new one's, row by row.
        numbers_before: Its measures.
        numbers_after: The new one's.
        margin: By which share the completion NLL must fall at least.
    """
    broken = _find_broken(after, numbers_after)
    if broken:
        return Verdict(outcome=Outcome.BROKEN, sentence=f"broken: {broken}; keep the old model")
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old.tokens and new.tokens]
    if len(pairs) < LEAST_ROWS:
        return Verdict(
            outcome=Outcome.UNKNOWN,
            sentence=f"not measured: {len(pairs)} held-out rows tell nothing (at least {LEAST_ROWS})",
        )
    old_nats, new_nats = (sum(one.nats for one in side) for side in zip(*pairs, strict=True))
    gain = 1 - new_nats / old_nats if old_nats > 0 else 0.0
    words = _gain_words(gain, numbers_before, numbers_after)
    answers = sum(one.reply is not None for one in after)
    found = (_find_worse(measure, numbers_before, numbers_after, answers) for measure in MEASURES)
    worse = [text for text in (*found, _find_fewer_passes(before, after)) if text]
    if worse or gain < 0:
        reason = "; ".join([*([words] if gain < 0 or not worse else [f"although {words}"]), *worse])
        return Verdict(outcome=Outcome.WORSE, sentence=f"worse: {reason}; keep the old model", gain=gain)
    if gain < margin:
        return Verdict(
            outcome=Outcome.UNCHANGED,
            sentence=f"no change: {words}, less than the {margin:.1%} asked for; keep the old model",
            gain=gain,
        )
    if not _is_certain(pairs):
        return Verdict(
            outcome=Outcome.UNCHANGED,
            sentence=f"no change: {words}, which may be chance in {len(pairs)} rows; keep the old model",
            gain=gain,
        )
    return Verdict(outcome=Outcome.IMPROVED, sentence=f"improved: {words}", gain=gain)


def render_number(measure: Measure, value: float | None) -> str:
    """Write one number."""
    if value is None:
        return "-"
    return f"{value:.1%}" if measure.unit == "share" else f"{value:.3f}"


def _find_broken(after: Sequence[RowResult], numbers: Numbers) -> str:
    if not all(math.isfinite(one.nats) for one in after):
        return "its numbers are not finite"
    odd = [key for key, value in numbers.items() if value is not None and not math.isfinite(value)]
    return f"{odd[0]} is not finite" if odd else ""


def _gain_words(gain: float, before: Numbers, after: Numbers) -> str:
    old, new = before.get(NLL), after.get(NLL)
    how = "fell" if gain >= 0 else "rose"
    numbers = f" ({old:.3f} to {new:.3f})" if old is not None and new is not None else ""
    return f"completion NLL {how} by {abs(gain):.1%}{numbers}"


def _find_worse(measure: Measure, before: Numbers, after: Numbers, answers: int) -> str:
    old, new = before.get(measure.key), after.get(measure.key)
    if old is None or new is None:
        return ""
    loss = new - old if measure.is_better_low else old - new
    least = 1 / answers if measure.is_of_answers and answers else 0.0
    is_worse = measure.may_worsen is not None and loss > max(measure.may_worsen, least) + 1e-9
    is_worse &= measure.least_ratio is None or new < old * measure.least_ratio
    if not is_worse:
        return ""
    how = "rose" if new > old else "fell"
    return f"{measure.label} {how} from {render_number(measure, old)} to {render_number(measure, new)}"


def _find_fewer_passes(before: Sequence[RowResult], after: Sequence[RowResult]) -> str:
    """Say that fewer problems are solved than chance would explain; empty where that is not so."""
    gained, lost = count_changes(before, after)
    p = mcnemar_p(gained, lost)
    if lost <= gained or p >= SIGNIFICANT:
        return ""
    return f"of the suite's problems {gained} were gained and {lost} lost (exact McNemar p = {p:.3g})"


def _is_certain(pairs: Sequence[tuple[RowResult, RowResult]]) -> bool:
    """Whether the rows' mean relative fall is away from nothing, by the paired standard error."""
    falls = [(old.nats - new.nats) / max(old.nats, 1e-9) for old, new in pairs]
    mean = sum(falls) / len(falls)
    variance = sum((fall - mean) ** 2 for fall in falls) / (len(falls) - 1)
    return mean > SIGMAS * math.sqrt(variance / len(falls))
