"""In which form a trained model is served on a CPU: the smallest that keeps what it has learnt.

A change smaller than half a step of a grid that the weights lie on rounds straight back: a base that came as
4-bit blocks and was trained a little can lose all of it in int4. So it is measured. Where the engine takes no
notice of the form (a GPU, a quantisation that the user set), all measure the same, and the first is taken.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assistant.config import CPU_FORMS
from finetune.gate.measures import find_nll
from finetune.gate.measuring import Candidate, HeldOut, MeasureModel
from finetune.progress import Report, Step

KEPT = 0.95
"""So much of the fall of the NLL a form must keep."""
WHOLE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The form that was chosen, and why."""

    served_as: str
    """One of `assistant.config.CPU_FORMS`, or empty where the engine's own choice keeps enough."""
    kept: Mapping[str, float]
    """Which share of the gain each form keeps that was tried."""


def choose_form(
    base: Candidate,
    trained: Candidate,
    held_out: HeldOut,
    directory: Path,
    report: Report,
    measure: MeasureModel,
) -> Form:
    """Score the held-out rows in one form after the other, until one keeps enough.

    Args:
        base: What was trained.
        trained: The new model.
        held_out: The rows.
        directory: For what is needed on the way.
        report: Told what goes on.
        measure: Scores a model.

    Raises:
        AssistantError: A model cannot be run, or the disk is full.
    """

    def score(candidate: Candidate, form: str) -> float:
        report(Step(stage=f"scoring {candidate.name} in {form or 'its own form'}"))
        results = measure(dataclasses.replace(candidate, served_as=form), scored, 1, directory, report)
        nll = find_nll(results)
        return math.nan if nll is None else nll

    scored = strip_answers(held_out)
    before = score(base, base.served_as)
    gain = before - score(trained, WHOLE)
    if not gain > 0 or not math.isfinite(gain):  # nothing to lose; NaN says so too
        return Form(served_as="", kept={})
    kept: dict[str, float] = {}
    for form in CPU_FORMS:
        kept[form] = 1.0 if form == WHOLE else (before - score(trained, form)) / gain
        if kept[form] >= KEPT:
            break
    chosen = list(kept)[-1]
    return Form(served_as="" if chosen == CPU_FORMS[0] else chosen, kept=kept)


def strip_answers(held_out: HeldOut) -> HeldOut:
    """Return rows that are scored alone: nothing is answered, and no other row's code is looked at."""
    rows = tuple({**row, "ask": False} for row in held_out.rows)
    return dataclasses.replace(
        held_out, rows=tuple({key: row[key] for key in row if key != "other"} for row in rows)
    )


def render_form(form: Mapping[str, float]) -> str:
    """Say what was found, for a report."""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in form.items() if name != WHOLE)
    return f"of what was learnt a CPU keeps in {shares}: served as {list(form)[-1]}"
