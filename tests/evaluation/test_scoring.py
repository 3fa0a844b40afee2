from __future__ import annotations

import threading

import pytest
from fake_evaluation import judge_by_number

from assistant.errors import SandboxError
from assistant.evaluation.answers import Reply, Score
from assistant.evaluation.problems import Problem
from assistant.evaluation.scoring import NO_CODE, Scoring, build_suite, run_suite, score_reply
from assistant.judging.interface import CaseResult, Judgement, Standing, Suite

PROBLEM = Problem(id="p", task="x", tests=("assert f() >= 0", "assert f() % 2 == 0"))
SUITE = build_suite(PROBLEM)


def build_reply(text: str, sample: int = 0) -> Reply:
    return Reply(problem="p", sample=sample, seed=0, reply=text, finish="stop")


def test_an_answer_that_holds_passes() -> None:
    score = score_reply(PROBLEM, SUITE, build_reply("def f():\n    return 4"), judge_by_number)
    assert (score.passed, score.tests, score.tests_passed, score.error) == (True, 2, 2, "")
    assert (score.parses, score.sandbox) == (True, "fake")


def test_an_answer_that_fails_says_where() -> None:
    score = score_reply(PROBLEM, SUITE, build_reply("def f():\n    return 3"), judge_by_number)
    assert (score.passed, score.tests_passed) == (False, 1)
    assert "% 2 == 0" in score.error
    assert score.error.endswith("odd")


def test_a_reply_without_code_is_not_run() -> None:
    def judge(code: str, suite: Suite) -> Judgement:
        raise AssertionError(code)

    score = score_reply(PROBLEM, SUITE, build_reply("   "), judge)
    assert (score.passed, score.tests, score.error, score.sandbox) == (False, 2, NO_CODE, "")


def test_a_test_that_cannot_be_run_is_told_from_one_that_fails() -> None:
    def judge(code: str, suite: Suite) -> Judgement:
        results = (CaseResult(name="a", standing=Standing.BROKEN, error="NameError: x"),)
        return Judgement(results=results, sandbox="fake", seconds=0.0)

    assert score_reply(PROBLEM, SUITE, build_reply("x = 1"), judge).broken


def test_a_problem_of_human_eval_is_judged_by_its_check() -> None:
    prompt = 'def f():\n    """One."""\n'
    problem = Problem(
        id="h",
        task="x",
        check="def check(candidate):\n    assert candidate() == 1\n",
        entry_point="f",
        prompt=prompt,
    )
    suite = build_suite(problem)
    assert suite.names == ("f",)
    assert len(suite.cases) == 1


def test_doctests_are_the_tests_of_a_function() -> None:
    stub = 'def f(x):\n    """\n    >>> f(1)\n    2\n    >>> f(2)\n    3\n    """\n'
    suite = build_suite(Problem(id="d", task="x", doctests=stub, entry_point="f", prompt=stub))
    assert len(suite.cases) == 2


def test_a_suite_is_run_for_those_problems_that_have_a_reply() -> None:
    other = Problem(id="q", task="y", tests=PROBLEM.tests)
    third = Problem(id="r", task="z", tests=PROBLEM.tests)
    replies = {"p": "def f():\n    return 2", "q": "def f():\n    return 3"}
    scores = run_suite([PROBLEM, other, third], replies, judge_by_number)
    assert {name: score.passed for name, score in scores.items()} == {"p": True, "q": False}


def test_judging_goes_on_beside_whoever_hands_answers_over() -> None:
    go = threading.Event()

    def judge(code: str, suite: Suite) -> Judgement:
        assert go.wait(10)
        return judge_by_number(code, suite)

    kept: list[Score] = []
    scoring = Scoring([PROBLEM], judge, kept.append)
    for number in range(20):
        scoring.add(build_reply(f"def f():\n    return {number}", number))
        scoring.check()
    assert kept == []
    go.set()
    scoring.finish()
    assert sorted(score.sample for score in kept) == list(range(20))
    assert sum(score.passed for score in kept) == 10


def test_a_sandbox_that_does_not_start_ends_the_judging() -> None:
    def judge(code: str, suite: Suite) -> Judgement:
        raise SandboxError("gone")

    scoring = Scoring([PROBLEM], judge, lambda _: None)
    for number in range(4):
        scoring.add(build_reply("x = 1", number))
    with pytest.raises(SandboxError):
        scoring.finish()
