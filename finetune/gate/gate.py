"""The stage that measures base, active model (where it is another) and trained one on the same rows.

Leaves `answers.jsonl` (what each model answered), `suite.jsonl` where problems of a suite were solved, and a
record with all numbers and the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from assistant import paths
from assistant.errors import ModelError
from assistant.models.store import ModelStore
from finetune.base import Base, hash_tokenizer
from finetune.gate.forms import Form, choose_form, render_form
from finetune.gate.measures import MEASURES, PASS_RATE, Context, Found, RowResult, measure_all, normalize_code
from finetune.gate.measuring import Candidate, HeldOut, MeasureModel, choose_held_out, measure_model
from finetune.gate.penalty import Penalty, choose_penalty, render_penalty
from finetune.gate.suite import describe_suite, leave_out, open_suite, render_suite, solve_suite
from finetune.gate.verdict import MARGIN, Numbers, Verdict, judge, render_number
from finetune.progress import Report, Step, report_nothing
from finetune.rows import TRAIN, read_rows
from finetune.rundir import RunDir, write_json_lines, write_record

STAGE = "gate"
ANSWERS_NAME = "answers.jsonl"
PER_TOKEN = frozenset({"token_accuracy", "heed"})
"""Measures that mean nothing between models that cut text into other tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """How models are measured."""

    margin: float = MARGIN
    """The completion NLL must fall by this share."""
    rows: int = 200
    """So many held-out rows are scored at most."""
    answers: int = 100
    """So many of them are answered at most."""
    max_new_tokens: int = 256
    """Of an answer. One that is longer counts as not ended."""
    suite: str = ""
    """Problems whose answers are run: a `LoadedSuite.source`; empty for none."""


def run_gate(
    run: RunDir,
    base: Base,
    trained: Candidate,
    options: GateOptions,
    report: Report = report_nothing,
    *,
    adapter_sha256: str = "",
    measure: MeasureModel = measure_model,
) -> dict[str, Any]:
    """Measure, judge, and return the stage's record. The caller holds the run's lock.

    Raises:
        AssistantError: A model cannot be run, nothing can be run in a sandbox, or the disk is full.
    """
    held_out = choose_held_out(run, most=options.rows, asked=options.answers)
    trained_rows = [row for row, side in read_rows(run) if side == TRAIN]
    context = Context(trained_code=frozenset(normalize_code(row.code) for row in trained_rows))
    suite = leave_out(open_suite(options.suite), trained_rows, context) if options.suite else None
    rivals = find_rivals(base, held_out.train_format)
    with run.open_stage(STAGE) as directory:
        form = choose_form(rivals[0], trained, held_out, directory, report, measure)
        trained = replace(trained, served_as=form.served_as)

        def ask(candidate: Candidate, rows: HeldOut) -> list[RowResult]:
            report(Step(stage=f"measuring {candidate.name}"))
            return measure(candidate, rows, options.max_new_tokens, directory, report)

        judge_found = partial(_judge_all, rivals, trained, held_out, context, options.margin)
        found: Found = {candidate.name: ask(candidate, held_out) for candidate in [*rivals, trained]}
        penalty = choose_penalty(trained, held_out, found, judge_found, ask)
        trained, found = replace(trained, repetition_penalty=penalty.kept), penalty.found
        if suite is not None:
            solved = solve_suite(
                suite, [*rivals, trained], held_out, options.max_new_tokens, directory, report, measure
            )
            found = {name: [*results, *solved[name]] for name, results in found.items()}
        name, verdict = judge_found(found)
        write_json_lines(directory / ANSWERS_NAME, list(_list_answers(held_out, found)))
        record = {
            "base": base.name,
            "trained": trained.name,
            "adapter_sha256": adapter_sha256,
            "compared_with": name,
            **_describe_measuring(held_out, options),
            **_describe_serving(form, penalty),
            "suite": describe_suite(suite, found[name], found[trained.name]) if suite else None,
            "numbers": {name: measure_all(results, context) for name, results in found.items()},
            **_describe_verdict(verdict),
        }
        write_record(directory, STAGE, record)
    return run.read_record(STAGE)


def find_rivals(base: Base, train_format: str) -> list[Candidate]:
    """Return what a trained model is held against: its base, and the active one where it is another."""
    store = ModelStore(paths.models_dir())
    rivals = [
        _build_rival(store, base.name, base.directory)
        if store.find(base.name) is not None
        else Candidate(name=base.name, directory=base.directory, serve_format=train_format)
    ]
    try:
        active = store.active()
        if active is not None and active != base.name:
            rivals.append(_build_rival(store, active, store.resolve(active)))
    except ModelError:
        pass  # a damaged pointer or model is no rival: nothing worse can take its place
    return rivals


def _build_rival(store: ModelStore, name: str, directory: Path) -> Candidate:
    manifest = store.read_manifest(name)
    return Candidate(
        name=name, directory=directory, serve_format=manifest.prompt_format, served_as=manifest.served_as
    )


def render_report(record: Mapping[str, Any]) -> list[str]:
    """Return the lines that show before and after."""
    old, new = record["numbers"][record["compared_with"]], record["numbers"][record["trained"]]
    suite = record.get("suite")  # a record of an earlier version has none
    shown = [measure for measure in MEASURES if suite or measure.key != PASS_RATE]
    width = max(len(measure.label) for measure in shown)
    lines = [
        f"{measure.label:<{width}}  {render_number(measure, old.get(measure.key)):>8} -> "
        f"{render_number(measure, new.get(measure.key)):>8}"
        for measure in shown
    ]
    head = (
        f"{record['compared_with']} -> {record['trained']}, {record['rows']} held-out rows,"
        f" {record['answers']} answered"
    )
    notes = [render_suite(suite)] if suite else []
    notes += [render_form(record["kept"])] if len(record.get("kept") or {}) > 1 else []
    if tried := record.get("penalty"):  # as with forms, an earlier version's record has none
        notes.append(render_penalty(tried, record["repetition_penalty"]))
    return [head, *lines, *notes, record["sentence"]]


def _describe_measuring(held_out: HeldOut, options: GateOptions) -> dict[str, Any]:
    return {
        "rows": len(held_out.rows),
        "answers": sum(bool(row["ask"]) for row in held_out.rows),
        "max_new_tokens": options.max_new_tokens,
        "margin": options.margin,
    }


def _describe_serving(form: Form, penalty: Penalty) -> dict[str, Any]:
    return {
        "served_as": form.served_as,
        "kept": dict(form.kept),
        "repetition_penalty": penalty.kept,
        "penalty": penalty.tried,
    }


def _describe_verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome.value,
        "is_better": verdict.is_better,
        "gain": verdict.gain,
        "sentence": verdict.sentence,
    }


def _judge_all(
    rivals: Sequence[Candidate],
    trained: Candidate,
    held_out: HeldOut,
    context: Context,
    margin: float,
    found: Found,
) -> tuple[str, Verdict]:
    """Return the verdict that counts, and over which rival: it must be better than each of them."""
    numbers = {name: measure_all(results, context) for name, results in found.items()}
    verdicts = {rival.name: _judge(rival, trained, held_out, found, numbers, margin) for rival in rivals}
    return min(verdicts.items(), key=lambda item: (item[1].is_better, item[1].gain))


def _judge(
    rival: Candidate,
    trained: Candidate,
    held_out: HeldOut,
    found: Found,
    numbers: Mapping[str, Numbers],
    margin: float,
) -> Verdict:
    old = dict(numbers[rival.name])
    if hash_tokenizer(rival.directory) != held_out.tokenizer_sha256:
        old = {key: value for key, value in old.items() if key not in PER_TOKEN}
    return judge(found[rival.name], found[trained.name], old, numbers[trained.name], margin=margin)


def _list_answers(held_out: HeldOut, found: Found) -> list[dict[str, Any]]:
    return [
        {
            "place": str(example.place),
            "task": example.task,
            "code": example.code,
            **{
                name: {
                    "reply": results[number].reply,
                    "ended": results[number].has_ended,
                    "nats": results[number].nats,
                }
                for name, results in found.items()
            },
        }
        for number, example in enumerate(held_out.examples)
    ]
