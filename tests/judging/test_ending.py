"""What ends a judgement before its time, and what is kept."""

from __future__ import annotations

import threading
import time

import pytest

from assistant.judging import Case, Judgement, Suite
from assistant.judging.judge import judge
from assistant.sandbox import Limits
from assistant.sandbox.bubblewrap import Bubblewrap

LIMITS = Limits(wall_s=0.8, cpu_s=5, memory_bytes=512 * 1024**2)


def run(code: str, *tests: str, sandbox: Bubblewrap, limits: Limits = LIMITS) -> Judgement:
    cases = tuple(Case(name=test, source=test) for test in tests)
    return judge(code, Suite(cases=cases), sandbox=sandbox, limits=limits)


def outcome(judgement: Judgement) -> list[tuple[str, str]]:
    return [(str(result.standing), result.error) for result in judgement.results]


@pytest.mark.parametrize(
    ("body", "limits", "why"),
    [
        ("while True: pass", LIMITS, "timed out"),
        pytest.param("while True: pass", Limits(wall_s=20, cpu_s=1), "timed out", marks=pytest.mark.slow),
        ("print('x' * 200_000)", LIMITS, "too much output"),
        ("import os; os.kill(os.getpid(), 11)", LIMITS, "killed (out of memory, or from outside)"),
    ],
)
def test_a_limit_fails_the_test_that_ran_into_it_and_keeps_those_before(
    body: str, limits: Limits, why: str, bubblewrap: Bubblewrap
) -> None:
    code = f"def f(x):\n    if x == 2:\n        {body}\n    return x"
    tests = ("assert f(1) == 1", "assert f(2) == 2", "assert f(3) == 3")
    judgement = run(code, *tests, sandbox=bubblewrap, limits=limits)
    assert outcome(judgement) == [("passed", ""), ("failed", why), ("not run", why)]
    assert judgement.error == why


def test_code_that_never_loads_runs_no_test(bubblewrap: Bubblewrap) -> None:
    judgement = run("while True: pass", "assert f(1) == 1", sandbox=bubblewrap)
    assert outcome(judgement) == [("not run", "timed out")]


def test_too_much_memory_is_an_exception_of_the_code(bubblewrap: Bubblewrap) -> None:
    judgement = run("def f(): return len('x' * 3 * 1024**3)", "assert f() == 1", sandbox=bubblewrap)
    assert outcome(judgement) == [("failed", "MemoryError")]


def test_a_result_that_is_too_large_is_an_exception(bubblewrap: Bubblewrap) -> None:
    judgement = run("def f(): return 'x' * 9 * 1024**2", "assert f() == 1", sandbox=bubblewrap)
    ((standing, error),) = outcome(judgement)
    assert standing == "failed"
    assert "cannot be sent" in error


def test_a_test_without_an_end_has_only_itself_to_blame(bubblewrap: Bubblewrap) -> None:
    limits = Limits(wall_s=0.5)
    tests = ("assert f() == 1", "while True: pass", "assert f() == 1")
    judgement = run("def f(): return 1", *tests, sandbox=bubblewrap, limits=limits)
    assert [str(result.standing) for result in judgement.results] == ["passed", "broken", "not run"]
    assert judgement.error == "timed out"


def test_a_test_that_prints_megabytes_harms_nothing(bubblewrap: Bubblewrap) -> None:
    tests = ("print('x' * 4_000_000)\nassert f() == 1", "assert f() == 1")
    assert run("def f(): return 1", *tests, sandbox=bubblewrap).has_passed


def test_a_judgement_can_be_ended(bubblewrap: Bubblewrap) -> None:
    cancel = threading.Event()
    threading.Timer(0.4, cancel.set).start()
    suite = Suite(cases=(Case(name="a", source="assert f() == 1"),))
    began = time.monotonic()
    judgement = judge(
        "while True: pass", suite, sandbox=bubblewrap, limits=Limits(wall_s=60, cpu_s=60), cancel=cancel
    )
    assert time.monotonic() - began < 30
    assert outcome(judgement) == [("not run", "stopped")]


def test_several_judgements_go_on_at_once(bubblewrap: Bubblewrap) -> None:
    found: dict[int, Judgement] = {}

    def work(number: int) -> None:
        found[number] = run(f"def f(): return {number}", "assert f() % 2 == 0", sandbox=bubblewrap)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: judgement.has_passed for number, judgement in found.items()} == {
        0: True, 1: False, 2: True, 3: False,
    }  # fmt: skip
