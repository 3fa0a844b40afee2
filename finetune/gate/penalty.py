"""Whether a trained model is to answer with a mild repetition penalty: where too many answers never end.

A small model that always takes the likeliest token can run in circles. A penalty ends most circles, but also
makes it harder to say twice what has to be said twice. So it is measured, and kept only where it helps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.gate.measures import Found, RowResult, is_program
from finetune.gate.measuring import Candidate, HeldOut
from finetune.gate.verdict import Verdict

PENALTY = 1.05
"""As Qwen2.5's generation configurations have it."""
ENOUGH = 0.95
"""Where so many answers end there is nothing to mend; one in twenty that is cut off is noticed every day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalty:
    """What was found."""

    kept: float | None
    """None where the model answers without one."""
    tried: Mapping[str, Any] | None
    """For the record: how many answers end and parse, without it and with it. None where all was well."""
    found: Found
    """All results: the model's answers are those with what is kept."""


def choose_penalty(
    trained: Candidate,
    held_out: HeldOut,
    found: Found,
    judge: Callable[[Found], tuple[str, Verdict]],
    ask: Callable[[Candidate, HeldOut], list[RowResult]],
) -> Penalty:
    """Let a model that is better answer again with a penalty, where too few of its answers end.

    Args:
        trained: The new model.
        held_out: The rows.
        found: What it and its rivals made of them.
        judge: Judges it by such results.
        ask: Measures a model with rows.

    Raises:
        AssistantError: The model cannot be run, or the disk is full.
    """
    results = found[trained.name]
    answers, ended, parsed = _count(results)
    if ended >= ENOUGH * answers or not judge(found)[1].is_better:
        return Penalty(kept=None, tried=None, found=found)
    penalized = dataclasses.replace(trained, repetition_penalty=PENALTY)
    again = {**found, trained.name: _answer_again(penalized, held_out, results, ask)}
    _, ended_with, parsed_with = _count(again[trained.name])
    tried = {
        "penalty": PENALTY,
        "answers": answers,
        "ended": [ended, ended_with],
        "parsed": [parsed, parsed_with],
    }
    if ended_with > ended and parsed_with >= parsed and judge(again)[1].is_better:
        return Penalty(kept=PENALTY, tried=tried, found=again)
    return Penalty(kept=None, tried=tried, found=found)


def render_penalty(tried: Mapping[str, Any], kept: float | None) -> str:
    """Say what was found, for a report."""
    (ended, ended_with), (parsed, parsed_with) = tried["ended"], tried["parsed"]
    return (
        f"repetition penalty {tried['penalty']:g}: of {tried['answers']} answers {ended_with} end and"
        f" {parsed_with} parse, without it {ended} and {parsed}; {'kept' if kept else 'not kept'}"
    )


def _count(results: Sequence[RowResult]) -> tuple[int, int, int]:
    """Return how many answers there are, end, and parse."""
    asked = [one for one in results if one.reply is not None]
    return len(asked), sum(one.has_ended for one in asked), sum(is_program(one.reply or "") for one in asked)


def _answer_again(
    trained: Candidate,
    held_out: HeldOut,
    results: Sequence[RowResult],
    ask: Callable[[Candidate, HeldOut], list[RowResult]],
) -> list[RowResult]:
    """Replace the answers; a penalty changes nothing of what was scored."""
    places = [place for place, row in enumerate(held_out.rows) if row["ask"]]
    rows = tuple({key: held_out.rows[place][key] for key in ("task", "input", "ask")} for place in places)
    examples = tuple(held_out.examples[place] for place in places)
    answers = ask(trained, dataclasses.replace(held_out, examples=examples, rows=rows))
    again = list(results)
    for place, new in zip(places, answers, strict=True):
        again[place] = dataclasses.replace(results[place], reply=new.reply, has_ended=new.has_ended)
    return again
