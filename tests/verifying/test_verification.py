from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tried import SUITE, CandidateGenerator, CountingJudge, NoSandbox, never

from assistant.errors import GeneratorBusyError, GeneratorLostError, SandboxError
from assistant.generator import EventStream, TextGenerator
from assistant.judging.interface import Judgement, Standing, Suite
from assistant.replies import Code
from assistant.requests import (
    Event,
    FinishReason,
    Loading,
    Request,
    Sampling,
    Started,
    Token,
    Usage,
    build_task_request,
)
from assistant.sandbox.interface import Backend
from assistant.verifying import (
    CandidateJudged,
    CandidateWritten,
    Effort,
    Repairing,
    Verification,
    Verified,
    VerifyingEvent,
)
from assistant.verifying.runs import Runs

REQUEST = build_task_request("count", "assert f(1) == 2", sampling=Sampling(max_tokens=64, stop=("#",)))
BAD, FAIR, BETTER, GOOD = (f"passes = {n}\n" for n in range(4))


class HalfAnswer:
    """A generator of half an answer, which says when it has been read that far."""

    def __init__(self) -> None:
        self.is_read, self.is_closed = threading.Event(), threading.Event()
        self._events = iter([Started(request_id="r1", model="tiny"), Token(text="def f(")])

    def stream(self, request: Request) -> EventStream:
        return self

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = next(self._events, None)
        if event is None:
            self.is_read.set()
            self.is_closed.wait(20)
            raise StopIteration
        return event

    def close(self) -> None:
        self.is_closed.set()


def start(generator: TextGenerator, judge: Any = None, *, extract: Any = None, **effort: Any) -> Verification:
    effort = {"candidates": 4, "repairs": 0, "patience_s": 20.0, **effort}
    return Verification(
        REQUEST,
        SUITE,
        generator=generator,
        judge=judge or CountingJudge(),
        sandbox=NoSandbox(),
        effort=Effort(**effort),
        **({"extract": extract} if extract else {}),
    )


def end_of(events: list[VerifyingEvent]) -> Verified:
    assert isinstance(events[-1], Verified)
    return events[-1]


def run(generator: CandidateGenerator, judge: Any = None, **effort: Any) -> Verified:
    return end_of(list(start(generator, judge, **effort)))


def reply_of(verified: Verified) -> str:
    assert verified.chosen is not None
    return verified.chosen.reply


def test_the_likeliest_and_the_sampled_answers_are_asked_for_at_the_same_time() -> None:
    generator = CandidateGenerator([[BAD]], [[BAD, FAIR, BETTER]])
    run(generator, temperature=0.9, top_p=0.5)
    likeliest, sampled = (request.sampling for request in generator.requests)
    assert likeliest == Sampling(temperature=0.0, top_p=1.0, n=1, max_tokens=64, stop=("#",))
    assert sampled == Sampling(temperature=0.9, top_p=0.5, n=3, max_tokens=64, stop=("#",))


def test_the_likeliest_answer_wins_although_another_passed_before_it() -> None:
    passed = threading.Event()
    generator = CandidateGenerator([[passed, f"{GOOD}# likeliest"]], [[GOOD, never(), BAD, BAD]])
    verified = run(generator, CountingJudge(on_pass=passed))
    assert verified.is_verified
    assert reply_of(verified) == f"{GOOD}# likeliest"
    assert generator.streams[1].is_closed


def test_a_likeliest_answer_that_does_not_end_is_not_waited_for_without_end() -> None:
    verified = run(CandidateGenerator([[never()]], [[BAD, GOOD, BAD]]), patience_s=0.0)
    assert reply_of(verified) == GOOD


def test_a_sampled_answer_that_passes_ends_everything_where_the_likeliest_has_failed() -> None:
    generator = CandidateGenerator([[BAD]], [[GOOD, never(), BAD, BAD]])
    verified = run(generator)
    assert reply_of(verified) == GOOD
    assert all(stream.is_closed for stream in generator.streams)
    assert len(verified.candidates) == 2


def test_an_answer_is_run_while_others_are_written() -> None:
    seen = threading.Event()
    generator = CandidateGenerator([[FAIR]], [[seen, BAD, BAD, BAD]])
    for event in start(generator):
        if isinstance(event, CandidateJudged):
            seen.set()
    assert seen.is_set()


@pytest.mark.parametrize(
    ("likeliest", "sampled", "best"),
    [
        (BAD, [FAIR, BETTER, BAD], BETTER),
        (f"{BETTER}# the likeliest", [BETTER, BAD, FAIR], f"{BETTER}# the likeliest"),
        (BAD, [f"{FAIR}long = 1\n", FAIR, "I cannot do that."], FAIR),
        ("I cannot do that.", ["Nor can I.", BAD, "No."], BAD),
    ],
)
def test_where_none_passes_it_is_the_one_that_passes_most_then_the_likeliest_then_the_shortest(
    likeliest: str, sampled: list[str], best: str
) -> None:
    verified = run(CandidateGenerator([[likeliest]], [sampled]))
    assert not verified.is_verified
    assert reply_of(verified) == best
    assert len(verified.candidates) == 4


def test_the_same_code_is_run_once_and_counts_for_each_that_wrote_it() -> None:
    judge = CountingJudge()
    events = list(start(CandidateGenerator([[BAD]], [[FAIR, f"```python\n{FAIR}```", BAD]]), judge))
    assert sorted(judge.codes) == [BAD, FAIR]
    assert sorted(event.passed for event in events if isinstance(event, CandidateJudged)) == [0, 0, 1, 1]


def test_an_answer_without_code_is_not_run() -> None:
    judge = CountingJudge()
    verified = run(CandidateGenerator([["I cannot do that, sorry."]]), judge, candidates=1)
    assert judge.codes == []
    assert reply_of(verified) == "I cannot do that, sorry."
    assert not verified.is_verified


def test_what_is_run_may_be_more_than_the_reply_says() -> None:
    judge = CountingJudge()

    def extract(reply: str) -> Code:
        return Code(text=f"import math\n{reply}", parses=True)

    events = list(start(CandidateGenerator([[GOOD]]), judge, candidates=1, extract=extract))
    assert judge.codes == [f"import math\n{GOOD}"]
    assert reply_of(end_of(events)) == GOOD


def test_a_repair_is_told_what_is_wrong_with_the_best() -> None:
    generator = CandidateGenerator([[BAD], [BAD]], [[FAIR, BETTER, BAD], [GOOD]])
    events = list(start(generator, repairs=2))
    repairing = next(event for event in events if isinstance(event, Repairing))
    assert (repairing.candidate.reply, repairing.count) == (BETTER, 2)
    asked = generator.requests[-1].turns[-1]
    assert asked.text.startswith("count\n\n")
    assert "It fails 1 of 3 tests:\ntest 3: AssertionError: 1 != 2" in asked.text
    assert asked.input == f"assert f(1) == 2\n\n# This code is wrong:\n{BETTER.rstrip()}"
    assert generator.requests[-1].sampling.n == 1
    verified = end_of(events)
    assert verified.is_verified
    assert verified.chosen is not None
    assert verified.chosen.is_repair
    assert len(verified.candidates) >= 5


def test_a_repair_that_is_worse_does_not_replace_what_there_is() -> None:
    generator = CandidateGenerator([[BETTER], [BAD]], [[BAD, BAD, BAD], [FAIR]])
    assert reply_of(run(generator, repairs=2)) == BETTER


def test_a_repair_that_cannot_be_had_takes_nothing_from_what_there_is() -> None:
    busy = GeneratorBusyError("too long")
    verified = run(CandidateGenerator([[BETTER], [busy]], [[BAD, BAD, BAD], [busy]]), repairs=2)
    assert (reply_of(verified), verified.error) == (BETTER, None)


def test_nothing_is_repaired_where_the_tests_themselves_are_at_fault() -> None:
    generator = CandidateGenerator([[BETTER]], [[never()]])
    verified = run(generator, CountingJudge(standing=Standing.BROKEN), repairs=2)
    assert len(generator.requests) == 2
    assert not verified.is_verified


def test_stopping_delivers_the_best_so_far_and_says_that_it_is_not_verified() -> None:
    generator = CandidateGenerator([[FAIR]], [[BETTER, never(), BAD, BAD]])
    verification = start(generator, repairs=2)
    judged = 0
    for event in verification:
        judged += isinstance(event, CandidateJudged)
        if judged == 2:
            break
    verification.close()
    verified = end_of(list(verification))
    assert (reply_of(verified), verified.is_stopped, verified.is_verified) == (BETTER, True, False)
    assert all(stream.is_closed for stream in generator.streams)
    verification.close()


def test_stopping_before_anything_has_ended_delivers_what_has_been_written() -> None:
    generator = HalfAnswer()
    verification = start(generator, candidates=1)
    assert isinstance(next(verification), Started)
    assert generator.is_read.wait(20)
    verification.close()
    verified = end_of(list(verification))
    assert reply_of(verified) == "def f("
    assert verified.answer.finish_reasons == (FinishReason.CANCELLED,)
    assert verified.candidates == ()


def test_the_time_is_over_when_it_is_over() -> None:
    verified = run(CandidateGenerator([[FAIR]], [[never()]]), wall_s=0.2)
    assert verified.is_stopped
    assert not verified.is_verified


def test_a_generator_that_fails_leaves_its_error_and_no_answer() -> None:
    error = GeneratorLostError("gone")
    verified = run(CandidateGenerator([[error]], [[error]]))
    assert (verified.chosen, verified.error) == (None, error)
    assert verified.answer.error is error


def test_sampled_answers_that_fail_leave_the_likeliest() -> None:
    verified = run(CandidateGenerator([[GOOD]], [[GeneratorBusyError("full")]]))
    assert verified.is_verified
    assert verified.answer.error is None


def test_a_sandbox_that_does_not_start_ends_it_with_the_answer_unverified() -> None:
    error = SandboxError("user namespaces are forbidden")
    verified = run(CandidateGenerator([[GOOD]], [[never()]]), CountingJudge(error=error))
    assert (verified.error, verified.is_verified, reply_of(verified)) == (error, False, GOOD)


def test_a_bug_in_the_judge_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        run(CandidateGenerator([[GOOD]], [[never()]]), CountingJudge(error=ZeroDivisionError()))


def test_stopping_ends_what_runs_in_the_sandbox() -> None:
    is_running, is_stopped = threading.Event(), threading.Event()

    def judge(code: str, suite: Suite, *, sandbox: Backend) -> Judgement:
        is_running.set()
        assert is_stopped.wait(20)
        raise SandboxError("stopped")

    verification = start(CandidateGenerator([[GOOD]]), judge, candidates=1)
    for event in verification:
        if isinstance(event, CandidateWritten):
            break
    assert is_running.wait(20)
    verification.close()
    is_stopped.set()
    assert end_of(list(verification)).is_stopped


def test_what_arrives_once_all_is_stopped_is_not_run() -> None:
    judge = CountingJudge()
    runs = Runs(SUITE, judge, NoSandbox(), lambda _: None)
    runs.stop()
    assert runs.start(GOOD) is None
    assert not runs.is_busy
    assert judge.codes == []


def test_loading_is_told_once_although_two_requests_wait_for_it() -> None:
    generator = CandidateGenerator([[GOOD]], [[GOOD, GOOD, GOOD]])
    events = list(start(generator))
    assert [type(event).__name__ for event in events].count("Started") == 1
    assert not any(isinstance(event, Loading) for event in events)


def test_the_answer_reads_as_if_it_were_the_only_one() -> None:
    verified = run(CandidateGenerator([[BAD]], [[FAIR, BETTER, BAD]]))
    answer = verified.answer
    assert (answer.text, answer.finish_reasons) == (BETTER, (FinishReason.STOP,))
    assert (answer.model, answer.seed, answer.request_id) == ("tiny", 7, "r1")
    assert answer.usage == Usage(prompt_tokens=20, completion_tokens=20)
