from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_tokenizer import SmallTokenizer, make_base

from finetune.base import Base
from finetune.building import PrepareOptions, TokenizeOptions, build_data
from finetune.examples import Example
from finetune.gate.gate import GateOptions, render_report, run_gate
from finetune.gate.measures import MEASURES, NLL, Context, Measure, RowResult, measure_all, normalize_code
from finetune.gate.measuring import Candidate, HeldOut, MeasureModel, choose_held_out
from finetune.gate.verdict import Outcome, Verdict, judge
from finetune.progress import Report
from finetune.rundir import RunDir
from finetune.sources import parse_source

CODE = "def f(x):\n    y = x + 1\n    return y\n"
Build = Callable[..., Example]


def make_results(example: Build, *, count: int = 20, **changes: Any) -> list[RowResult]:
    """Results of a decent model: 2 nats for each of 10 tokens, and each answer whole."""
    chance = random.Random(4)
    values: dict[str, Any] = {"right": 6, "other_nats": 30.0, "other_tokens": 10, "reply": CODE}
    values |= {"has_ended": True, **changes}
    per_token = values.pop("per_token", 2.0)
    return [
        RowResult(
            example=example(code=f"x = {n}"),
            tokens=10,
            **{"nats": 10 * per_token * chance.uniform(0.98, 1.02), **values},
        )
        for n in range(count)
    ]


def verdict(before: list[RowResult], after: list[RowResult], trained: tuple[str, ...] = ()) -> Verdict:
    context = Context(trained_code=frozenset(map(normalize_code, trained)))
    return judge(before, after, measure_all(before, context), measure_all(after, context))


def test_a_lower_nll_with_nothing_worse_is_better(example: Build) -> None:
    found = verdict(make_results(example), make_results(example, per_token=1.6))
    assert found.is_better
    assert found.sentence.startswith("improved: completion NLL fell by 2")
    assert found.gain == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(("broken", "is_better"), [(1, True), (2, False)])
def test_one_answer_of_few_that_is_worse_is_no_sign_and_two_are(
    example: Build, broken: int, is_better: bool
) -> None:
    after = make_results(example, count=12, per_token=1.6)
    after[:broken] = [dataclasses.replace(one, reply="def f(:") for one in after[:broken]]
    assert verdict(make_results(example, count=12), after).is_better is is_better


def test_less_than_the_margin_is_no_change(example: Build) -> None:
    found = verdict(make_results(example), make_results(example, per_token=1.98))
    assert found.outcome is Outcome.UNCHANGED
    assert "less than the 2.0% asked for; keep the old model" in found.sentence


def test_a_fall_that_may_be_chance_is_no_change(example: Build) -> None:
    chance = random.Random(1)
    before = make_results(example, count=10)
    after = [dataclasses.replace(one, nats=one.nats * chance.choice((0.2, 1.7))) for one in before]
    assert sum(one.nats for one in after) < 0.98 * sum(one.nats for one in before)
    found = verdict(before, after)
    assert found.outcome is Outcome.UNCHANGED
    assert "may be chance in 10 rows" in found.sentence


def test_few_rows_tell_nothing(example: Build) -> None:
    found = verdict(make_results(example, count=5), make_results(example, count=5, per_token=1.0))
    assert found.outcome is Outcome.UNKNOWN
    assert not found.is_better


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"per_token": 3.0}, "NLL rose by 50"),
        ({"nats": float("nan")}, "not finite"),
        ({"nats": float("inf")}, "not finite"),
        ({"reply": "", "per_token": 1.5}, "empty answers rose from 0.0% to 100.0%"),
        ({"reply": "def f(:", "per_token": 1.5}, "parse rate fell from 100.0% to 0.0%"),
        ({"reply": "   \n", "per_token": 1.5}, "parse rate fell"),
        ({"has_ended": False, "per_token": 1.5}, "stop rate fell from 100.0% to 0.0%"),
        ({"other_nats": 15.5, "per_token": 1.5}, "effect of the task fell from 1.0"),
        ({"right": 3, "per_token": 1.5}, "token accuracy fell from 60.0% to 30.0%"),
    ],
)
def test_what_is_worse_in_one_way_takes_nobodys_place(
    example: Build, changes: dict[str, Any], words: str
) -> None:
    found = verdict(make_results(example), make_results(example, **changes))
    assert not found.is_better
    assert words in found.sentence


def test_answers_that_are_copies_of_training_code_count_against_a_model(example: Build) -> None:
    before = make_results(example, reply="x = 1\n")
    after = make_results(example, per_token=1.5)
    assert verdict(before, after).is_better
    copied = verdict(before, after, trained=("def f(x):\n  y = x + 1   # the same\n  return y",))
    assert copied.outcome is Outcome.WORSE
    assert "copies of training code rose" in copied.sentence


def test_short_code_is_no_copy(example: Build) -> None:
    results = make_results(example, reply="x = 1\n")
    assert measure_all(results, Context(trained_code=frozenset({"x = 1"})))["copy_rate"] == 0


def test_a_reply_in_a_fence_is_measured_by_its_code(example: Build) -> None:
    results = make_results(example, reply=f"Sure:\n\n```python\n{CODE}```\n")
    assert measure_all(results, Context())["parse_rate"] == 1


def test_without_answers_the_rates_are_not_known(example: Build) -> None:
    results = make_results(example, reply=None, other_tokens=0)
    numbers = measure_all(results, Context())
    assert numbers["parse_rate"] is None
    assert numbers["heed"] is None
    assert numbers[NLL] == pytest.approx(2.0, abs=0.05)


def test_a_measure_is_one_more_entry_of_the_list(example: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = Measure(
        key="pass_at_1", label="pass@1", unit="share", compute=lambda results, _: 0.0, may_worsen=0.0
    )
    monkeypatch.setattr("finetune.gate.measures.MEASURES", (*MEASURES, passes))
    assert measure_all(make_results(example), Context())["pass_at_1"] == 0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    """A run of 60 rows, 20 held out."""
    monkeypatch.setattr("finetune.building.load_tokenizer", lambda _: SmallTokenizer())
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    chance = random.Random(2)
    words = [f"w{n}" for n in range(200)]
    rows = [
        {
            "instruction": " ".join(chance.sample(words, 6)),
            "output": f"def f{n}(a):\n    return a * {n} + {n * 7}",
        }
        for n in range(60)
    ]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = RunDir(tmp_path / "home" / "data" / "runs" / "mine")
    (tmp_path / "home").mkdir(mode=0o700)
    prepare = PrepareOptions(sources=(parse_source(str(path)),), eval_share=0.3)
    build_data(run, make_run_base(tmp_path), prepare, TokenizeOptions())
    return run


def make_run_base(tmp_path: Path) -> Base:
    directory = tmp_path / "base"
    return Base(
        name="small",
        directory=directory if directory.exists() else make_base(directory),
        context_tokens=4096,
    )


class FakeMeasuring:
    """Measures by the name of the model alone."""

    def __init__(self, **per_token: float) -> None:
        self.per_token = per_token
        self.asked: list[str] = []

    def __call__(
        self, candidate: Candidate, held_out: HeldOut, most: int, work: Path, report: Report
    ) -> list[RowResult]:
        self.asked.append(candidate.name)
        nats = self.per_token[candidate.name]
        return [
            RowResult(example=one, nats=10 * nats, tokens=10, right=5, reply=CODE, has_ended=True)
            for one in held_out.examples
        ]


def gate(run: RunDir, tmp_path: Path, measure: MeasureModel, **options: Any) -> dict[str, Any]:
    trained = Candidate(name="new", directory=tmp_path / "base", serve_format="python-task")
    with run.locked():
        return run_gate(run, make_run_base(tmp_path), trained, GateOptions(**options), measure=measure)


def test_the_gate_measures_both_models_and_leaves_a_record(run: RunDir, tmp_path: Path) -> None:
    measure = FakeMeasuring(small=2.0, new=1.5)
    record = gate(run, tmp_path, measure)
    assert measure.asked == ["small", "new", "new", "small", "new"]  # the first three for the form
    assert record["is_better"]
    assert record["rows"] == 18
    assert record["numbers"]["small"][NLL] == 2.0
    assert render_report(record)[0] == "small -> new, 18 held-out rows, 18 answered"
    answers = (run.get_stage("gate") / "answers.jsonl").read_text().splitlines()
    assert len(answers) == 18
    assert set(json.loads(answers[0])) == {"place", "task", "code", "small", "new"}


def test_the_margin_is_an_option(run: RunDir, tmp_path: Path) -> None:
    assert not gate(run, tmp_path, FakeMeasuring(small=2.0, new=1.5), margin=0.3)["is_better"]


def test_the_same_rows_are_chosen_again_and_each_has_another_rows_code(run: RunDir) -> None:
    first = choose_held_out(run, most=10, asked=4)
    assert first == choose_held_out(run, most=10, asked=4)
    assert len(first.rows) == 10
    assert sum(row["ask"] for row in first.rows) == 4
    assert all(row["other"] != row["code"] for row in first.rows)


def test_a_failed_measurement_leaves_no_record(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        gate(run, tmp_path, FakeMeasuring(small=2.0))
    assert run.find_stage("gate") is None


def find_sabotages() -> list[tuple[str, dict[str, Any]]]:
    """Twenty ways in which training goes wrong, as they show on the held-out rows."""
    cases: list[tuple[str, dict[str, Any]]] = []
    cases += [(f"the rate is too high, {n}", {"per_token": 2.0 + n}) for n in (0.05, 0.3, 2, 8, 50)]
    cases += [(f"not finite, {x}", {"nats": float(x)}) for x in ("nan", "inf", "-inf")]
    cases += [
        (f"shuffled answers, {gap}", {"per_token": 1.7, "other_nats": 17 + gap}) for gap in (0, 1, 3, 5)
    ]
    cases += [(f"empty answers, {text!r}", {"per_token": 1.8, "reply": text}) for text in ("", "\n", " \n\t")]
    cases += [
        (f"no code, {text!r}", {"per_token": 1.8, "reply": text}) for text in ("I cannot.", "def f(:\n x")
    ]
    cases += [("never ends", {"per_token": 1.8, "has_ended": False})]
    cases += [("nothing learnt", {}), ("hardly anything learnt", {"per_token": 1.985})]
    return cases


@pytest.mark.parametrize(("name", "changes"), find_sabotages(), ids=[name for name, _ in find_sabotages()])
def test_no_sabotaged_training_is_let_through(example: Build, name: str, changes: dict[str, Any]) -> None:
    assert len(find_sabotages()) == 20
    assert not verdict(make_results(example), make_results(example, **changes)).is_better, name


def test_a_model_is_served_in_the_smallest_form_that_keeps_what_it_has_learnt(
    run: RunDir, tmp_path: Path
) -> None:
    nats = {"": 1.95, "int4": 1.95, "int8": 1.51, "none": 1.5}

    def measure(candidate: Candidate, held_out: HeldOut, *_: Any) -> list[RowResult]:
        per_token = 2.0 if candidate.name == "small" else nats[candidate.served_as]
        return [
            RowResult(example=one, nats=10 * per_token, tokens=10, right=5, reply=CODE, has_ended=True)
            for one in held_out.examples
        ]

    trained = Candidate(name="new", directory=tmp_path / "base", serve_format="python-task")
    with run.locked():
        record = run_gate(run, make_run_base(tmp_path), trained, GateOptions(), measure=measure)
    assert record["served_as"] == "int8"
    assert record["kept"] == pytest.approx({"int4": 0.1, "int8": 0.98})
    assert record["numbers"]["new"]["nll"] == pytest.approx(1.51)
    assert record["is_better"]
    assert "keeps in int4 10%, int8 98%: served as int8" in "\n".join(render_report(record))


class Circling:
    """Measures a better model, a few of whose answers never end, and what a penalty does to them."""

    def __init__(self, **with_penalty: Any) -> None:
        self.with_penalty = {"reply": CODE, "has_ended": True, **with_penalty}
        self.asked: list[HeldOut] = []

    def __call__(self, candidate: Candidate, held_out: HeldOut, *_: Any) -> list[RowResult]:
        if candidate.repetition_penalty is not None:
            self.asked.append(held_out)
            return [
                RowResult(example=one, nats=0.0, tokens=0, right=0, **self.with_penalty)
                for one in held_out.examples
            ]
        nats = 15.0 if candidate.name == "new" else 20.0
        return [
            RowResult(example=one, nats=nats, tokens=10, right=5, reply=CODE, has_ended=place >= 2)
            for place, one in enumerate(held_out.examples)
        ]


def test_a_penalty_is_kept_where_more_answers_end_with_it(run: RunDir, tmp_path: Path) -> None:
    measure = Circling()
    record = gate(run, tmp_path, measure, answers=18)
    assert record["is_better"]
    assert record["repetition_penalty"] == 1.05
    assert record["penalty"] == {"penalty": 1.05, "answers": 18, "ended": [16, 18], "parsed": [18, 18]}
    assert record["numbers"]["new"]["stop_rate"] == 1.0
    assert record["numbers"]["new"][NLL] == 1.5
    (asked,) = measure.asked
    assert all(set(row) == {"task", "input", "ask"} for row in asked.rows)  # nothing is scored again
    report = "\n".join(render_report(record))
    assert "penalty 1.05: of 18 answers 18 end and 18 parse, without it 16 and 18; kept" in report
    answers = (run.get_stage("gate") / "answers.jsonl").read_text().splitlines()
    assert all(json.loads(line)["new"]["ended"] for line in answers)


@pytest.mark.parametrize(
    "with_penalty",
    [{"has_ended": False}, {"reply": "def f(:"}, {"reply": ""}],
    ids=("ends", "parses", "empty"),
)
def test_a_penalty_that_makes_no_more_whole_answers_is_not_kept(
    run: RunDir, tmp_path: Path, with_penalty: dict[str, Any]
) -> None:
    record = gate(run, tmp_path, Circling(**with_penalty))
    assert record["is_better"]
    assert record["repetition_penalty"] is None
    assert record["numbers"]["new"]["stop_rate"] == pytest.approx(16 / 18)
    assert "not kept" in "\n".join(render_report(record))


def test_a_penalty_is_not_kept_where_the_model_would_be_no_better_with_it(
    run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = "def g(x):\n    y = x\n    return y"
    monkeypatch.setattr("finetune.gate.gate.normalize_code", lambda _: trained)
    record = gate(run, tmp_path, Circling(reply=trained))  # more end, all parse, all are copies
    assert (record["repetition_penalty"], record["is_better"]) == (None, True)
    assert record["penalty"]["ended"] == [16, 18]


def test_no_penalty_is_tried_with_a_model_that_is_no_better(run: RunDir, tmp_path: Path) -> None:
    measure = Circling()
    record = gate(run, tmp_path, measure, margin=0.3)
    assert (record["repetition_penalty"], record["penalty"], measure.asked) == (None, None, [])


def test_no_penalty_is_tried_where_enough_answers_end(run: RunDir, tmp_path: Path) -> None:
    record = gate(run, tmp_path, FakeMeasuring(small=2.0, new=1.5))
    assert (record["repetition_penalty"], record["penalty"]) == (None, None)
    assert not any("penalty" in line for line in render_report(record))


def test_a_model_that_learnt_nothing_is_served_as_ever(run: RunDir, tmp_path: Path) -> None:
    record = gate(run, tmp_path, FakeMeasuring(small=2.0, new=2.1))
    assert (record["served_as"], record["kept"]) == ("", {})
