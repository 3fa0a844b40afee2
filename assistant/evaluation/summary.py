"""The numbers of one evaluation, from its rows. Pure: the same rows in any order give the same numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from assistant.evaluation.answers import Key, Reply, Score
from assistant.evaluation.records import Record
from assistant.evaluation.statistics import (
    Rate,
    bootstrap_mean,
    choose_ks,
    estimate_pass_at_k,
    wilson_interval,
)
from assistant.requests import FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Nll:
    """How likely a model finds the reference solutions."""

    problems: int
    nats_per_token: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What an evaluation found, as far as it went."""

    name: str
    record: Record
    answered: int
    judged: int
    complete_problems: int
    """All answers to them are judged: they are what the pass rates are made of."""
    pass_at: Mapping[int, Rate]
    """By k; empty as long as no problem is complete."""
    passed_problems: int
    """At least one answer passes."""
    parse_rate: float | None
    """Of the answers that are judged, those whose program compiles; None where none is."""
    stop_rate: float | None
    """Of all answers, those that the model ended by itself."""
    mean_tokens: float | None
    """Of an answer; None where answers were made several at once."""
    broken: tuple[str, ...]
    """Problems with a test that no answer could pass."""
    nll: Nll | None = None

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing left to do."""
        return self.judged == self.record.answers


def build_summary(
    name: str,
    record: Record,
    replies: Mapping[Key, Reply],
    scores: Mapping[Key, Score],
    nll: Nll | None = None,
) -> Summary:
    """Count.

    Args:
        name: Of the evaluation.
        record: What was evaluated.
        replies: What was answered so far.
        scores: What was judged so far.
        nll: Where it was measured.
    """
    passed = count_passed(scores, record.samples)
    tokens = [reply.tokens for reply in replies.values() if reply.tokens is not None]
    stopped = sum(reply.finish == FinishReason.STOP for reply in replies.values())
    parsed = sum(score.parses for score in scores.values())
    return Summary(
        name=name,
        record=record,
        answered=len(replies),
        judged=len(scores),
        complete_problems=len(passed),
        pass_at=find_pass_rates(list(passed.values()), record.samples),
        passed_problems=sum(count > 0 for count in passed.values()),
        parse_rate=parsed / len(scores) if scores else None,
        stop_rate=stopped / len(replies) if replies else None,
        mean_tokens=sum(tokens) / len(tokens) if replies and len(tokens) == len(replies) else None,
        broken=tuple(sorted({score.problem for score in scores.values() if score.broken})),
        nll=nll,
    )


def count_passed(scores: Mapping[Key, Score], samples: int) -> dict[str, int]:
    """Return how many answers to each problem pass, sorted; problems that lack a judgement are left out."""
    judged: dict[str, list[bool]] = defaultdict(list)
    for problem, sample in sorted(scores):
        judged[problem].append(scores[problem, sample].passed)
    return {problem: sum(each) for problem, each in judged.items() if len(each) == samples}


def find_pass_rates(passed: Sequence[int], samples: int) -> dict[int, Rate]:
    """Return pass@k for each k that is shown, with its interval.

    One answer to each problem makes trials that are counted (Wilson's interval); for more, problems are drawn
    anew (bootstrap).

    Args:
        passed: For each problem, how many of its answers pass.
        samples: So many answers each problem has.
    """
    if not passed:
        return {}
    if samples == 1:
        return {1: wilson_interval(sum(passed), len(passed))}
    return {
        k: bootstrap_mean([estimate_pass_at_k(samples, count, k) for count in passed])
        for k in choose_ks(samples)
    }


def summary_to_json(summary: Summary) -> dict[str, Any]:
    """Return what a program is told."""
    document = asdict(summary) | {"is_complete": summary.is_complete, "broken": list(summary.broken)}
    document["pass_at"] = {str(k): asdict(rate) for k, rate in summary.pass_at.items()}
    document["interval"] = "wilson" if summary.record.samples == 1 else "bootstrap over problems"
    return document


def render_summary(summary: Summary) -> list[str]:
    """Return the lines for a person."""
    record = summary.record
    how = "greedy" if record.temperature == 0 else f"temperature {record.temperature:g}"
    each = "one answer" if record.samples == 1 else f"{record.samples} answers"
    judge = f", judged in {record.sandbox}" if record.sandbox else ""
    lines = [f"{record.model} on {record.suite_name}: {record.problems} problems, {each} each, {how}{judge}"]
    if not summary.is_complete:
        lines.append(
            f"not finished: {summary.answered} of {record.answers} answered, {summary.judged} judged;"
            f" the rates are those of {summary.complete_problems} problems"
        )
    for k, rate in summary.pass_at.items():
        lines.append(f"  pass@{k:<4} {rate.value:>6.1%}   95 % interval {rate.low:.1%} to {rate.high:.1%}")
    if summary.pass_at:
        lines.append(f"  solved    {summary.passed_problems:>6} of {summary.complete_problems} problems")
    if summary.parse_rate is not None:
        lines.append(f"  parses    {summary.parse_rate:>6.1%}")
    if summary.stop_rate is not None:
        tokens = "" if summary.mean_tokens is None else f"   {summary.mean_tokens:.0f} tokens on average"
        lines.append(f"  ends      {summary.stop_rate:>6.1%}{tokens}")
    if summary.nll is not None:
        lines.append(
            f"  NLL       {summary.nll.nats_per_token:>6.3f}   nats per token,"
            f" {summary.nll.problems} reference solutions"
        )
    if summary.broken:
        names = ", ".join(summary.broken[:5]) + (" …" if len(summary.broken) > 5 else "")
        lines.append(f"  broken    {len(summary.broken):>6} problems have a test that cannot be run: {names}")
    return [*lines, f"  results   {summary.name}"]
