from __future__ import annotations

from collections.abc import Callable

import pytest
from unconfined import Unconfined

from assistant.errors import SandboxError
from assistant.judging import Case, CaseResult, Judgement, Suite
from assistant.judging.judge import judge
from assistant.sandbox import Backend, Job, Limits
from assistant.sandbox.bubblewrap import Bubblewrap

Judge = Callable[..., Judgement]


def works(sandbox: Bubblewrap) -> bool:
    try:
        ended = sandbox.start(Job(source="pass"), Limits()).wait()
    except SandboxError:
        return False
    return ended.exit_code == 0


@pytest.fixture(scope="session")
def bubblewrap() -> Bubblewrap:
    """The real thing: for code that means harm."""
    sandbox = Bubblewrap()
    if not works(sandbox):
        pytest.skip("bubblewrap does not work here")
    return sandbox


@pytest.fixture(scope="session")
def sandbox() -> Backend:
    """The real thing where there is one: for code that means no harm."""
    found = Bubblewrap()
    return found if works(found) else Unconfined()


@pytest.fixture(scope="session")
def judged(sandbox: Backend) -> Callable[..., tuple[CaseResult, ...]]:
    def run(code: str, *tests: str, setup: str = "", names: tuple[str, ...] = ()) -> tuple[CaseResult, ...]:
        cases = tuple(Case(name=test, source=test) for test in tests)
        suite = Suite(cases=cases, setup=setup, names=names)
        return judge(code, suite, sandbox=sandbox, limits=Limits(wall_s=10)).results

    return run
