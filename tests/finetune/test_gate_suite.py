"""The gate with a suite: its problems are answered before and after, and the answers are run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_evaluation import judge_by_number
from small_tokenizer import SmallTokenizer, make_base

from assistant.errors import UsageError
from assistant.evaluation.suites import load_suite
from finetune.base import Base
from finetune.building import PrepareOptions, TokenizeOptions, build_data
from finetune.examples import Example
from finetune.gate import gate as gate_module
from finetune.gate.gate import GateOptions, render_report, run_gate
from finetune.gate.measures import PASS_RATE, Context, RowResult, measure_all
from finetune.gate.measuring import Candidate, HeldOut
from finetune.gate.suite import GateSuite, leave_out, open_suite
from finetune.gate.verdict import Outcome, judge
from finetune.progress import Report
from finetune.rundir import RunDir
from finetune.sources import parse_source

Build = Callable[..., Example]


def build_results(example: Build, passed: list[bool], *, nats: float) -> list[RowResult]:
    scored = [
        RowResult(
            example=example(), nats=nats * (1 + n / 1000), tokens=10, right=5, reply="x = 1", has_ended=True
        )
        for n in range(20)
    ]
    solved = [RowResult(example=example(), nats=0.0, tokens=0, right=0, passed=one) for one in passed]
    return [*scored, *solved]


def find_verdict(before: list[RowResult], after: list[RowResult]) -> Any:
    return judge(before, after, measure_all(before, Context()), measure_all(after, Context()))


def test_problems_that_are_solved_change_no_other_measure(example: Build) -> None:
    plain = measure_all(build_results(example, [], nats=20.0), Context())
    solved = measure_all(build_results(example, [True, False], nats=20.0), Context())
    assert (plain.pop(PASS_RATE), solved.pop(PASS_RATE)) == (None, 0.5)
    assert plain == solved


def test_a_model_that_solves_fewer_problems_takes_nobodys_place(example: Build) -> None:
    found = find_verdict(
        build_results(example, [True] * 10, nats=20.0), build_results(example, [False] * 10, nats=15.0)
    )
    assert found.outcome is Outcome.WORSE
    assert "of the suite's problems 0 were gained and 10 lost (exact McNemar p = 0.00195)" in found.sentence


@pytest.mark.parametrize("after", [[True] * 7 + [False] * 3, [True] * 10, [False, True] * 5])
def test_what_may_be_chance_stands_in_nobodys_way(example: Build, after: list[bool]) -> None:
    before = [True] * 10 if sum(after) > 5 else [True, False] * 5
    found = find_verdict(build_results(example, before, nats=20.0), build_results(example, after, nats=15.0))
    assert found.is_better


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    rows = [
        {"task": f"problem {n}", "tests": ["assert f() >= 0", "assert f() % 2 == 0"], "id": f"p{n}"}
        for n in range(8)
    ]
    path = tmp_path / "suite.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.setattr("finetune.building.load_tokenizer", lambda _: SmallTokenizer())
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    rows = [
        {"instruction": f"row {n}", "output": f"def g{n}(a):\n    return a * {n} + {n * 7}"}
        for n in range(60)
    ]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "home").mkdir(mode=0o700)
    run = RunDir(tmp_path / "home" / "data" / "runs" / "mine")
    prepare = PrepareOptions(sources=(parse_source(f"{path}"),), eval_share=0.3)
    build_data(run, build_base(tmp_path), prepare, TokenizeOptions())
    return run


def build_base(tmp_path: Path) -> Base:
    directory = tmp_path / "base"
    return Base(
        name="small",
        directory=directory if directory.exists() else make_base(directory),
        context_tokens=4096,
    )


def measure(
    candidate: Candidate, held_out: HeldOut, most: int, work: Path, report: Report
) -> list[RowResult]:
    """The new model is better, and returns 2 for each problem; the old one returns the problem's number."""
    is_new = candidate.name == "new"
    results: list[RowResult] = []
    for one in held_out.examples:
        number = 2 if is_new else int((re.findall(r"\d+", one.task) or ["0"])[0])
        reply = f"def f():\n    return {number}\n"
        nats = 15.0 if is_new else 20.0
        results.append(RowResult(example=one, nats=nats, tokens=10, right=5, reply=reply, has_ended=True))
    return results


def test_the_gate_solves_a_suite_with_both_models(
    run: RunDir, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = GateSuite(loaded=load_suite(str(suite)), judge=judge_by_number, sandbox="fake")
    monkeypatch.setattr(gate_module, "open_suite", lambda _: opened)
    trained = Candidate(name="new", directory=tmp_path / "base", serve_format="python-task")
    with run.locked():
        options = GateOptions(suite=str(suite))
        record = run_gate(run, build_base(tmp_path), trained, options, measure=measure)
    kept = record["suite"]
    assert record["is_better"], record["sentence"]
    assert (kept["problems"], kept["trained_on"]) == (8, 0)
    assert (kept["gained"], kept["lost"], kept["p"]) == (4, 0, 0.125)
    assert record["numbers"]["small"][PASS_RATE] < record["numbers"]["new"][PASS_RATE] == 1.0
    lines = render_report(record)
    (solved,) = [line.split() for line in lines if line.startswith("suite solved (pass@1)")]
    assert solved[-3:] == ["50.0%", "->", "100.0%"]
    assert any(line.startswith("suite: ") and "judged in fake; 4 gained, 0 lost" in line for line in lines)
    rows = [json.loads(line) for line in (run.get_stage("gate") / "suite.jsonl").read_text().splitlines()]
    assert len(rows) == kept["problems"]
    assert rows[1]["new"] == {"reply": "def f():\n    return 2\n", "passed": True, "error": ""}
    assert rows[1]["small"]["passed"] is False
    answers = (run.get_stage("gate") / "answers.jsonl").read_text().splitlines()
    assert len(answers) == record["rows"]


def test_a_suite_is_solved_with_the_penalty_that_the_model_is_served_with(
    run: RunDir, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = GateSuite(loaded=load_suite(str(suite)), judge=judge_by_number, sandbox="fake")
    monkeypatch.setattr(gate_module, "open_suite", lambda _: opened)
    solving: list[tuple[str, float | None]] = []

    def measure_circling(candidate: Candidate, held_out: HeldOut, *more: Any) -> list[RowResult]:
        if held_out.examples[0].task == "problem 0":
            solving.append((candidate.name, candidate.repetition_penalty))
        ends = candidate.name != "new" or candidate.repetition_penalty is not None
        return [
            replace(one, has_ended=ends or n > 0) for n, one in enumerate(measure(candidate, held_out, *more))
        ]

    trained = Candidate(name="new", directory=tmp_path / "base", serve_format="python-task")
    with run.locked():
        options = GateOptions(suite=str(suite))
        record = run_gate(run, build_base(tmp_path), trained, options, measure=measure_circling)
    assert record["repetition_penalty"] == 1.05
    assert solving == [("small", None), ("new", 1.05)]
    assert record["suite"]["gained"] == 4


def test_problems_that_were_trained_on_are_left_out(suite: Path, example: Build) -> None:
    opened = GateSuite(loaded=load_suite(str(suite)), judge=judge_by_number, sandbox="fake")
    left = leave_out(opened, [example(task=" problem 7\n")], Context())
    assert ([one.id for one in left.loaded.problems][-1], left.trained_on) == ("p6", 1)


def test_a_completion_is_trained_on_where_its_input_is(example: Build) -> None:
    loaded = load_suite("humaneval[:3]")
    opened = GateSuite(loaded=loaded, judge=judge_by_number, sandbox="fake")
    rows = [example(task=loaded.problems[0].task, input=loaded.problems[1].input)]
    assert leave_out(opened, rows, Context()).trained_on == 1


def test_a_suite_is_read_before_anything_is_trained(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"task": "x"}\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"bad\.jsonl:1: tests is missing"):
        open_suite(str(path))


def test_without_a_suite_the_report_has_no_line_for_it(run: RunDir, tmp_path: Path) -> None:
    trained = Candidate(name="new", directory=tmp_path / "base", serve_format="python-task")
    with run.locked():
        record = run_gate(run, build_base(tmp_path), trained, GateOptions(), measure=measure)
    assert record["suite"] is None
    assert not any("suite" in line for line in render_report(record))
