"""Tests that would believe what the code says of an expected value. They fail, and say why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from assistant.judging import CaseResult

Judged = Callable[..., tuple[CaseResult, ...]]

CODE = """
import collections
class Yes:
    def __getattr__(self, name): return lambda *args: True
    def __contains__(self, item): return True
    def __iter__(self): return iter([Yes()])
    def __sub__(self, other): return Yes()
    __rsub__ = __add__ = __radd__ = __sub__
    def __eq__(self, other): return True
    def __lt__(self, other): return True
    def __call__(self, *args): return True
def f(x): return Yes()
P = collections.namedtuple("P", "count index")
def pair(): return P(lambda x: True, 1)
def spoil(case): case.check = lambda *args: True
def interface():
    class A:
        __array_interface__ = {"data": (1, False), "shape": (1 << 20,), "typestr": "|u1", "version": 3}
    return A()
"""

TESTS = (
    "assert f(1).startswith('a')",
    "assert f(1).isdigit()",
    "assert f({1}).issubset({2})",
    "assert f(1).__eq__(4)",
    "assert f(1).equals(4)",
    "assert (f(1) - 4).total_seconds() == True",
    "assert (4 - f(1))[0] is True",
    "assert str(f(1) + 'a') == 'b'",
    "assert 4 in f(1)",
    "assert f(1) in (4, 5)",
    "assert 4 == f(1)",
    "assert f(1) == [4] or [4] == f(1)",
    "assert f(1) < 4 or f(1) >= 4",
    "try: f(1) < 4\nexcept TypeError: pass",
    "assert pair().count('a')",
    "class Case:\n    def check(self): return False\nc = Case()\ntry: spoil(c)\nexcept AttributeError: pass\n"
    "assert c.check()",
    "assert hasattr(interface(), '__array_interface__')",
)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> dict[str, CaseResult]:
    judged: Judged = request.getfixturevalue("judged")
    return {result.name: result for result in judged(CODE, *TESTS)}


@pytest.mark.parametrize("test", TESTS)
def test_the_codes_own_word_is_not_taken(test: str, outcomes: dict[str, CaseResult]) -> None:
    assert outcomes[test].standing == "failed"


def test_a_test_that_would_take_it_says_so(outcomes: dict[str, CaseResult]) -> None:
    assert outcomes["assert f(1).startswith('a')"].error == (
        "TypeError: startswith of an object that is no builtin: the code under test would judge itself"
    )
