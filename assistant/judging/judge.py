"""Judges code by tests: the code in one sandbox, the tests in another, and this process between them.

The code never sees an expected value, computes no comparison and cannot reach the verdict. A test is passed
only if the tests' own process says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from assistant.judging.bundle import BOOTSTRAP, build_bundle
from assistant.judging.interface import CaseResult, Judgement, Standing, Suite
from assistant.judging.relay import Relay, Side, Verdicts, deadline_after, end_all
from assistant.judging.suites import needs_packages
from assistant.judging.wire import LOAD, MAX_FRAME_BYTES, START, render_json
from assistant.sandbox import Backend, Job, Limits

REFEREE_EXTRA_S = 2.0
"""The tests' process outlives the code's, to say which test was under way."""
GUARD_S = 5.0
"""Beyond the limits, should a backend not keep them."""
MAX_ERROR = 500


def judge(  # noqa: PLR0913 - what is judged, by what, and where
    code: str,
    suite: Suite,
    *,
    sandbox: Backend,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    has_packages: bool = False,
    readable: tuple[Path, ...] = (),
    is_self_reported: bool = False,
    cancel: threading.Event | None = None,
) -> Judgement:
    """Say which tests a piece of code passes. From any thread, several at once.

    Args:
        code: A Python module.
        suite: Its tests.
        sandbox: What confines both processes.
        limits: For the code; the tests have the same, and `REFEREE_EXTRA_S`.
        has_packages: Let the code import what is installed beside this program; tests may if they do.
        readable: What both may read beside Python itself.
        is_self_reported: Run code and tests in one process: for tests that cannot be kept apart from it, and
            only where nothing hangs on the outcome, for then the code could cheat.
        cancel: Ends the judgement early when it is set; what has passed by then is kept.

    Raises:
        SandboxError: A sandbox does not start.
    """
    began = time.monotonic()
    nonce = secrets.token_hex(16)
    own = code if is_self_reported else None
    tests = _describe_tests(suite, nonce, own)
    task = _describe_code(code, suite, limits)
    if max(len(tests), len(task)) > MAX_FRAME_BYTES:
        verdicts = Verdicts(load_error="the code or the tests are too long")
    else:
        job = Job(source=BOOTSTRAP, channel=True, has_packages=has_packages, readable=readable)
        with contextlib.ExitStack() as stack:
            needs = has_packages or needs_packages(suite.setup, suite.module)
            of_tests = dataclasses.replace(job, has_packages=needs)
            sides = _start(stack, sandbox, limits, of_tests, None if is_self_reported else job)
            sides[0].queue(LOAD, build_bundle("cases"))
            sides[0].queue(START, tests)
            for candidate in sides[1:]:
                candidate.queue(LOAD, build_bundle("candidate"))
                candidate.queue(START, task)
            is_over = deadline_after(limits.wall_s + REFEREE_EXTRA_S + GUARD_S, cancel)
            verdicts = Relay(*sides, nonce=nonce, is_over=is_over).run()
    return Judgement(
        results=tuple(_read_results(suite, verdicts)),
        sandbox=sandbox.name,
        seconds=time.monotonic() - began,
        error=_choose_error(verdicts),
        is_self_reported=is_self_reported,
    )


def _start(
    stack: contextlib.ExitStack, sandbox: Backend, limits: Limits, tests: Job, code: Job | None
) -> list[Side]:
    """Start the tests' process and, if it is another, the code's, at once; both end with the stack."""
    longer = dataclasses.replace(limits, wall_s=limits.wall_s + REFEREE_EXTRA_S)
    sides: list[Side] = []
    stack.callback(end_all, sides)
    with ThreadPoolExecutor(max_workers=1) as starter:
        other = starter.submit(sandbox.start, tests, longer)
        try:
            if code is not None:
                sides.append(Side(sandbox.start(code, limits)))
        finally:
            if other.exception() is None:
                sides.insert(0, Side(other.result()))
    other.result()
    return sides


def _describe_code(code: str, suite: Suite, limits: Limits) -> bytes:
    return render_json(
        {
            "code": code,
            "names": list(suite.names),
            "module": suite.module,
            "output_bytes": limits.output_bytes,
        }
    )


def _describe_tests(suite: Suite, nonce: str, code: str | None) -> bytes:
    return render_json(
        {
            "nonce": nonce,
            "setup": suite.setup,
            "cases": [case.source for case in suite.cases],
            "names": list(suite.names),
            "module": suite.module,
            "code": code,
        }
    )


def _read_results(suite: Suite, verdicts: Verdicts) -> Iterator[CaseResult]:
    """Say how each test came out: nothing is passed that was not reported to be."""
    for number, case in enumerate(suite.cases):
        standing, error = Standing.NOT_RUN, _choose_error(verdicts)
        if number < len(verdicts.cases):
            standing, error = Standing(verdicts.cases[number][0]), verdicts.cases[number][1]
        elif number == len(verdicts.cases) and verdicts.referee_end:
            # Without a word from the code, its tests have only themselves to blame.
            standing = Standing.FAILED if verdicts.talked or verdicts.is_alone else Standing.BROKEN
        yield CaseResult(name=case.name, standing=standing, error=error[:MAX_ERROR])


def _choose_error(verdicts: Verdicts) -> str:
    return verdicts.load_error or verdicts.stopped or verdicts.candidate_end or verdicts.referee_end
