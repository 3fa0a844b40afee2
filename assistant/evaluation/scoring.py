"""Answers into judgements, by a judge that is given: one at a time, or by threads beside the generating."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from assistant.errors import UsageError
from assistant.evaluation.answers import Reply, Score
from assistant.evaluation.problems import Problem, build_program
from assistant.judging.interface import Judgement, Standing, Suite

Judge = Callable[[str, Suite], Judgement]
"""Runs a suite's tests on a program, in a sandbox."""
WORKERS = 2
NO_CODE = "no code in the reply"


def build_suite(problem: Problem) -> Suite:
    """Return the tests of a problem.

    Raises:
        UsageError: They make no tests.
    """
    from assistant.judging.suites import build_assert_suite, build_check_suite, find_own_tests

    if problem.check:
        return build_check_suite(problem.check, problem.entry_point, problem.prompt)
    if problem.doctests:
        suite = find_own_tests(problem.doctests)
        if suite is None:
            raise UsageError(f"{problem.id} has no doctest that can be run")
        return suite
    return build_assert_suite(problem.tests, problem.setup)


def score_reply(problem: Problem, suite: Suite, reply: Reply, judge: Judge) -> Score:
    """Judge one answer.

    Raises:
        SandboxError: Nothing can be run.
    """
    program = build_program(problem, reply.reply)
    if not program.text:
        return Score(
            problem=problem.id,
            sample=reply.sample,
            passed=False,
            tests=len(suite.cases),
            tests_passed=0,
            parses=False,
            broken=False,
            error=NO_CODE,
            sandbox="",
            seconds=0.0,
        )
    judgement = judge(program.text, suite)
    return Score(
        problem=problem.id,
        sample=reply.sample,
        passed=judgement.has_passed,
        tests=len(judgement.results),
        tests_passed=judgement.passed,
        parses=program.parses,
        broken=any(result.standing is Standing.BROKEN for result in judgement.results),
        error="" if judgement.has_passed else _find_error(judgement),
        sandbox=judgement.sandbox,
        seconds=round(judgement.seconds, 3),
    )


def run_suite(problems: Sequence[Problem], replies: Mapping[str, str], judge: Judge) -> dict[str, Score]:
    """Judge one reply to each of some problems.

    Args:
        problems: Those without a reply are left out.
        replies: By the problem's id, as the model wrote them.
        judge: Runs the tests.

    Returns:
        How each was judged, by the problem's id.

    Raises:
        UsageError: A problem's tests make no tests.
        SandboxError: Nothing can be run.
    """
    asked = [problem for problem in problems if problem.id in replies]
    suites = {problem.id: build_suite(problem) for problem in asked}
    return {
        problem.id: score_reply(
            problem,
            suites[problem.id],
            Reply(problem=problem.id, sample=0, seed=0, reply=replies[problem.id], finish=""),
            judge,
        )
        for problem in asked
    }


class Scoring:
    """Threads that judge answers as they are handed over; generating never waits for them.

    Args:
        problems: All whose answers may come.
        judge: Runs the tests. Any thread may call it.
        keep: Takes each judgement, on any thread.
        workers: So many are judged at once.

    Raises:
        UsageError: A problem's tests make no tests.
    """

    def __init__(
        self,
        problems: Iterable[Problem],
        judge: Judge,
        keep: Callable[[Score], None],
        *,
        workers: int = WORKERS,
        build: Callable[[Problem], Suite] = build_suite,
    ) -> None:
        self._problems = {problem.id: (problem, build(problem)) for problem in problems}
        self._judge = judge
        self._keep = keep
        self._waiting: queue.SimpleQueue[Reply | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._workers = workers
        # Daemons: an interrupted command must not wait for tests that run into their limit.
        for _ in range(workers):
            threading.Thread(target=self._work, name="judging", daemon=True).start()

    def add(self, reply: Reply) -> None:
        """Hand an answer over."""
        self._waiting.put(reply)

    def check(self) -> None:
        """Raise what ended a thread early.

        Raises:
            SandboxError: Nothing can be run.
            StorageError: The disk is full.
        """
        try:
            error = self._ended.get_nowait()
        except queue.Empty:
            return
        if error is not None:
            raise error

    def finish(self) -> None:
        """Return when all that was handed over is judged.

        Raises:
            SandboxError: Nothing can be run.
            StorageError: The disk is full.
        """
        for _ in range(self._workers):
            self._waiting.put(None)
        for _ in range(self._workers):
            error = self._ended.get()
            if error is not None:
                raise error

    def _work(self) -> None:
        try:
            while (reply := self._waiting.get()) is not None:
                problem, suite = self._problems[reply.problem]
                self._keep(score_reply(problem, suite, reply, self._judge))
        except Exception as error:  # noqa: BLE001  raised where the command waits, not lost with the thread
            self._ended.put(error)
            return
        self._ended.put(None)


def _find_error(judgement: Judgement) -> str:
    if judgement.error:
        return judgement.error
    failed = next(result for result in judgement.results if result.standing is not Standing.PASSED)
    return f"{failed.name}: {failed.error}" if failed.error else f"{failed.name}: {failed.standing.value}"
