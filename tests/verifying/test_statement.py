from __future__ import annotations

from typing import Any

import pytest
from tried import SUITE

from assistant.errors import GeneratorLostError, SandboxError
from assistant.judging.interface import CaseResult, Judgement, Standing, Suite
from assistant.replies import Code
from assistant.requests import FinishReason, Loading, Started
from assistant.sandbox.interface import Job, Limits
from assistant.verifying import (
    Candidate,
    CandidateJudged,
    CandidateWritten,
    Repairing,
    Tally,
    Verified,
    render_statement,
)
from assistant.verifying.stopping import StoppingSandbox
from tests.verifying.started import StartedProcess


def candidate(*standings: Standing, error: str = "AssertionError", is_shared: bool = False) -> Candidate:
    results = tuple(
        CaseResult(
            name=f"line {n}: f()", standing=standing, error="" if standing is Standing.PASSED else error
        )
        for n, standing in enumerate(standings, start=1)
    )
    judgement = Judgement(results=results, sandbox="bubblewrap", seconds=0.1, is_self_reported=is_shared)
    return Candidate(
        number=0,
        reply="x",
        code=Code(text="x = 1\n"),
        finish_reason=FinishReason.STOP,
        judgement=judgement if standings else None,
    )


def statement_of(chosen: Candidate | None, *, tried: int = 8, suite: Suite = SUITE, **fields: Any) -> str:
    candidates = (chosen,) * tried if chosen is not None else ()
    sandbox = "bubblewrap" if chosen is not None and chosen.judgement is not None else ""
    return render_statement(
        Verified(
            chosen=chosen,
            candidates=candidates,
            suite=suite,
            sandbox=sandbox,
            seconds=1.0,
            **fields,
        )
    )


PASSED, FAILED, BROKEN = Standing.PASSED, Standing.FAILED, Standing.BROKEN


def test_a_verified_answer_says_what_it_passes_how_many_were_tried_and_where() -> None:
    good = candidate(PASSED, PASSED, PASSED)
    assert statement_of(good, tried=4) == "passes 3 of 3 tests · 4 tried · bubblewrap"


def test_an_answer_that_could_have_cheated_is_said_to() -> None:
    good = candidate(PASSED, PASSED, PASSED, is_shared=True)
    assert "could have cheated" in statement_of(good)


def test_where_none_passes_the_first_failure_of_the_best_is_told() -> None:
    fair = candidate(PASSED, FAILED, FAILED, error="AssertionError:\n  1 != 2")
    assert (
        statement_of(fair)
        == "none of 8 passed all 3 tests; this one passes 1: line 2: f(): AssertionError: 1 != 2 · bubblewrap"
    )


def test_a_single_answer_and_a_single_test_are_told_as_that() -> None:
    alone = Suite(cases=SUITE.cases[:1])
    said = statement_of(candidate(FAILED), tried=1, suite=alone)
    assert said == "the only answer tried has not passed the test: line 1: f(): AssertionError · bubblewrap"


def test_tests_that_cannot_hold_are_blamed_and_not_the_answer() -> None:
    said = statement_of(candidate(PASSED, FAILED, BROKEN, error="SyntaxError: invalid syntax"))
    assert said.startswith("1 of 3 tests cannot hold with any code: line 3: f(): SyntaxError")


def test_answers_without_code_are_told_as_that() -> None:
    assert statement_of(candidate()) == "none of 8 has code to run"
    assert statement_of(candidate(), tried=1) == "the answer has no code to run"


@pytest.mark.parametrize(
    ("chosen", "fields", "said"),
    [
        (
            candidate(PASSED, FAILED, FAILED),
            {"is_stopped": True},
            "as it was stopped; this one passes 1 of 3",
        ),
        (candidate(), {"is_stopped": True}, "as it was stopped; this one has not been run"),
        (candidate(), {"error": SandboxError("no sandbox")}, ": no sandbox; this one has not been run"),
        (None, {"error": GeneratorLostError("gone")}, "not verified: nothing was written: gone"),
    ],
)
def test_what_was_broken_off_is_never_called_verified(
    chosen: Candidate | None, fields: dict[str, Any], said: str
) -> None:
    statement = statement_of(chosen, **fields)
    assert statement.startswith("not verified")
    assert said in statement


def test_the_tally_counts_what_is_written_and_what_passes_most() -> None:
    tally, one = Tally(3), candidate(PASSED, FAILED, FAILED)
    assert tally.render() == "waiting for the generator"
    tally.take(Loading(stage="loading", fraction=0.5))
    assert tally.render() == "loading 50%"
    tally.take(Started(request_id="r", model="tiny"))
    assert tally.render() == "writing"
    tally.take(CandidateWritten(candidate=one, written=3, of=8))
    assert tally.render() == "3 of 8 written"
    tally.take(CandidateJudged(candidate=one, passed=1, total=3))
    tally.take(CandidateJudged(candidate=one, passed=2, total=3))
    assert tally.render() == "3 of 8 written, 1 passes 2 of 3"
    tally.take(CandidateJudged(candidate=one, passed=2, total=3))
    assert tally.render() == "3 of 8 written, 2 pass 2 of 3"
    tally.take(Repairing(candidate=one, count=4))
    assert tally.render() == "repairing: 0 of 4 written, 2 pass 2 of 3"


def test_a_stopped_sandbox_ends_what_it_started_and_starts_nothing_more() -> None:
    process = StartedProcess()
    sandbox = StoppingSandbox(process)
    job = Job(source="pass")
    assert sandbox.start(job, Limits()) is process
    sandbox.stop_all()
    assert process.stops == 1
    with pytest.raises(SandboxError, match="stopped"):
        sandbox.start(job, Limits())


def test_a_program_that_starts_while_all_are_stopped_is_ended() -> None:
    process = StartedProcess()
    sandbox = StoppingSandbox(process)
    process.on_start = sandbox.stop_all
    sandbox.start(Job(source="pass"), Limits())
    assert process.stops == 1
