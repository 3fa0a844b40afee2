"""Two evaluations of the same problems into better, same or worse, and how sure that is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from assistant.errors import UsageError
from assistant.evaluation.answers import Key, Score
from assistant.evaluation.records import Record
from assistant.evaluation.statistics import Rate, bootstrap_mean, mcnemar_p
from assistant.evaluation.summary import count_passed

SIGNIFICANT = 0.05
"""A change that chance alone makes more often than so is not called one."""
MAX_CHANGES_SHOWN = 40


class Verdict(StrEnum):
    """What the second is against the first."""

    BETTER = "better"
    SAME = "same"
    """No difference was shown; that there is none was not shown either."""
    WORSE = "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two."""

    name: str
    """Of the evaluation."""
    record: Record
    scores: Mapping[Key, Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A problem whose answers pass more or less often."""

    problem: str
    before: float
    """The share of its answers that pass."""
    after: float
    error: str
    """Why the second fails; empty where all of its answers pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What was found."""

    verdict: Verdict
    first: str
    second: str
    suite: str
    problems: int
    before: float
    """pass@1 of the first."""
    after: float
    difference: Rate
    """Of pass@1, second minus first; problems are drawn in pairs."""
    p: float | None
    """By the exact McNemar test; None where one has several answers to a problem."""
    gained: int
    lost: int
    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    """What else differs between the two."""


def compare(first: Side, second: Side) -> Comparison:
    """Compare two evaluations.

    One answer each to the same problems: McNemar's exact test at 5 %. Else: the 95 % interval of the paired
    difference leaves out nothing.

    Raises:
        UsageError: They are of other problems, or no problem is judged in both.
    """
    if first.record.suite_sha256 != second.record.suite_sha256:
        raise UsageError(
            f"{first.name} and {second.name} are not of the same problems:"
            f" {first.record.suite_name} ({first.record.problems})"
            f" and {second.record.suite_name} ({second.record.problems})",
            hint="evaluate both on the same --suite with the same --limit",
        )
    old, new = _find_shares(first), _find_shares(second)
    problems = sorted(old.keys() & new.keys())
    if not problems:
        raise UsageError(f"no problem is judged in both {first.name} and {second.name}")
    difference = bootstrap_mean([new[problem] - old[problem] for problem in problems])
    gained = sum(new[problem] > old[problem] for problem in problems)
    lost = sum(new[problem] < old[problem] for problem in problems)
    is_paired = first.record.samples == second.record.samples == 1
    p = mcnemar_p(gained, lost) if is_paired else None
    is_sure = p < SIGNIFICANT if p is not None else not difference.low <= 0 <= difference.high
    verdict = Verdict.SAME
    if is_sure:
        verdict = Verdict.BETTER if difference.value > 0 else Verdict.WORSE
    return Comparison(
        verdict=verdict,
        first=first.name,
        second=second.name,
        suite=first.record.suite_name,
        problems=len(problems),
        before=sum(old[problem] for problem in problems) / len(problems),
        after=sum(new[problem] for problem in problems) / len(problems),
        difference=difference,
        p=p,
        gained=gained,
        lost=lost,
        changes=tuple(
            Change(
                problem=problem,
                before=old[problem],
                after=new[problem],
                error=_find_error(second, problem),
            )
            for problem in problems
            if old[problem] != new[problem]
        ),
        notes=tuple(_list_notes(first, second, len(problems))),
    )


def comparison_to_json(comparison: Comparison) -> dict[str, Any]:
    """Return what a program is told."""
    document = asdict(comparison) | {"verdict": comparison.verdict.value, "notes": list(comparison.notes)}
    document["changes"] = [asdict(change) for change in comparison.changes]
    return document


def render_comparison(comparison: Comparison) -> list[str]:
    """Return the lines for a person, the verdict first."""
    difference = comparison.difference
    sure = f"exact McNemar p = {comparison.p:.3g}" if comparison.p is not None else "paired bootstrap"
    lines = [
        f"{comparison.verdict.value}: pass@1 {comparison.before:.1%} -> {comparison.after:.1%},"
        f" {_points(difference.value)} points (95 % interval {_points(difference.low)} to"
        f" {_points(difference.high)}; {sure})",
        f"{comparison.first} -> {comparison.second}, {comparison.problems} problems of {comparison.suite}:"
        f" {comparison.gained} gained, {comparison.lost} lost",
    ]
    if comparison.verdict is Verdict.SAME:
        lines.append("no difference is shown; with more problems, a smaller one would be")
    lines += [f"note: {note}" for note in comparison.notes]
    shown = comparison.changes[:MAX_CHANGES_SHOWN]
    width = max((len(change.problem) for change in shown), default=0)
    for change in shown:
        how = "gained" if change.after > change.before else "lost"
        shares = f"{change.before:.0%} -> {change.after:.0%}" if comparison.p is None else ""
        rest = "  ".join(filter(None, (shares, change.error[:100])))
        lines.append(f"  {how:<6} {change.problem:<{width}}  {rest}".rstrip())
    if len(comparison.changes) > len(shown):
        lines.append(f"  and {len(comparison.changes) - len(shown)} more; --json lists all")
    return lines


def _points(share: float) -> str:
    return f"{share * 100:+.1f}"


def _find_shares(side: Side) -> dict[str, float]:
    passed = count_passed(side.scores, side.record.samples)
    return {problem: count / side.record.samples for problem, count in passed.items()}


def _find_error(side: Side, problem: str) -> str:
    errors = [
        score.error for number in range(side.record.samples) if (score := side.scores[problem, number]).error
    ]
    return " ".join(errors[0].split()) if errors else ""


def _list_notes(first: Side, second: Side, problems: int) -> list[str]:
    old, new = first.record, second.record
    notes = [
        f"{name.replace('_', '-')} is {getattr(old, name) or '?'} in the one and"
        f" {getattr(new, name) or '?'} in the other"
        for name in ("temperature", "top_p", "max_tokens", "samples", "engine", "sandbox", "version")
        if getattr(old, name) != getattr(new, name)
    ]
    if problems < old.problems:
        notes.append(f"only {problems} of {old.problems} problems are judged in both")
    return notes
