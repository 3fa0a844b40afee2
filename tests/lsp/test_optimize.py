from __future__ import annotations

import pytest
from acting import after, fenced, finish, names_of, refusal, view_of

from lsp.actions.interface import Edits

SLOW = "def total(xs):‸\n    t = 0\n    for x in xs:\n        t += x\n    return t\n"
FAST = "def total(xs):\n    return sum(xs)\n"


def test_a_function_gets_another_body() -> None:
    assert after(view_of(SLOW), "optimize", fenced(FAST)) == FAST


def test_header_decorators_and_docstring_stay() -> None:
    view = view_of(
        '@log\ndef total(xs: list[int]) -> int:  # all\n    """Sum."""\n    return sum‸([x for x in xs])\n'
    )
    reply = fenced('def total(xs):\n    """Other."""\n    return sum(xs)')
    assert after(view, "optimize", reply) == (
        '@log\ndef total(xs: list[int]) -> int:  # all\n    """Sum."""\n    return sum(xs)\n'
    )


def test_a_body_on_the_line_of_its_header_gets_lines_of_its_own() -> None:
    view = view_of("def f(n): return n‸ * 1\n")
    assert after(view, "optimize", "def f(n):\n    return n\n") == "def f(n):\n    return n\n"


def test_a_cache_comes_with_its_import() -> None:
    view = view_of("def fib(n):\n    return n‸ if n < 2 else fib(n - 1) + fib(n - 2)\n")
    reply = fenced(
        "from functools import cache\n\n"
        "@cache\ndef fib(n):\n    return n if n < 2 else fib(n - 2) + fib(n - 1)"
    )
    assert after(view, "optimize", reply) == (
        "from functools import cache\n\n\n@cache\ndef fib(n):\n"
        "    return n if n < 2 else fib(n - 2) + fib(n - 1)\n"
    )


def test_a_decorator_that_nobody_knows_is_left_out_and_told() -> None:
    view = view_of("class A:\n    def f(self, n):\n        return n‸ + 0\n")
    outcome = finish(view, "optimize", "import numba\n\n@numba.jit\ndef f(self, n):\n    return n\n")
    assert isinstance(outcome, Edits)
    assert outcome.notes == ("`@numba.jit` was left out.",)


def test_statements_are_replaced_in_their_own_indentation() -> None:
    view = view_of("def f(xs):\n\t«t = 0\n\tfor x in xs:\n\t\tt += x»\n\treturn t\n")
    assert (
        after(view, "optimize", fenced("t = sum(\n    xs)"))
        == "def f(xs):\n\tt = sum(\n\t\txs)\n\treturn t\n"
    )


def test_an_expression_is_replaced_and_nothing_else() -> None:
    view = view_of("n = f(«sum([x for x in xs])», 1)  # why\n")
    assert after(view, "optimize", "sum(xs)\n") == "n = f(sum(xs), 1)  # why\n"


def test_the_statement_around_an_expression_is_left_away() -> None:
    view = view_of("n = «sum([x for x in xs])»\n")
    assert after(view, "optimize", fenced("n = sum(xs)")) == "n = sum(xs)\n"


@pytest.mark.parametrize("reply", ["a = 1\nb = 2\n", "for x in y:\n    z()\n", "sum(\n    xs)\n"])
def test_what_is_no_expression_is_refused_in_place_of_one(reply: str) -> None:
    refused = refusal(view_of("n = f(«sum([x for x in xs])», 1)\n"), "optimize", reply)
    assert "no expression on one line" in refused.reason


def test_a_comment_does_not_swallow_the_rest_of_the_line() -> None:
    view = view_of("n = f(«sum([x for x in xs])», 1)\n")
    assert after(view, "optimize", "sum(xs)  # faster\n") == "n = f(sum(xs), 1)\n"


def test_repeated_lines_before_and_after_the_selection_are_left_away() -> None:
    view = view_of("def f(xs):\n    ys = list(xs)\n    «ys = sorted(ys)\n    ys.reverse()»\n    return ys\n")
    reply = fenced("ys = list(xs)\nys.sort(reverse=True)\nreturn ys")
    assert after(view, "optimize", reply) == (
        "def f(xs):\n    ys = list(xs)\n    ys.sort(reverse=True)\n    return ys\n"
    )


def test_the_function_around_the_selection_is_left_away() -> None:
    view = view_of("def f(xs):\n    ys = list(xs)\n    «ys = sorted(ys)\n    ys.reverse()»\n    return ys\n")
    reply = fenced("def f(xs):\n    ys = list(xs)\n    ys.sort(reverse=True)\n    return ys")
    assert after(view, "optimize", reply) == (
        "def f(xs):\n    ys = list(xs)\n    ys.sort(reverse=True)\n    return ys\n"
    )


def test_a_function_rewritten_around_the_selection_is_refused() -> None:
    view = view_of("def f(xs):\n    ys = list(xs)\n    «ys = sorted(ys)\n    ys.reverse()»\n    return ys\n")
    refused = refusal(view, "optimize", "def f(xs):\n    return sorted(xs)[::-1]\n")
    assert "rewrites all of `f`" in refused.reason


def test_a_class_must_keep_its_methods() -> None:
    view = view_of("«class A:\n    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n»")
    refused = refusal(view, "optimize", "class A:\n    def f(self):\n        return 1\n")
    assert "leaves out `g` of the class `A`" in refused.reason


def test_selected_functions_must_stay() -> None:
    view = view_of("«def f(x):\n    return 1\n\n\ndef g(x):\n    return 2\n»")
    assert "leaves out `g`" in refusal(view, "optimize", "def f(x):\n    return 1\n").reason


def test_code_that_is_there_already_is_no_edit() -> None:
    assert "is what stands there already" in refusal(view_of(SLOW), "optimize", SLOW.replace("‸", "")).reason


def test_nothing_is_offered_on_blank_lines_prose_and_comments() -> None:
    for marked in (
        "x = 1\n‸\n\n",
        "«read a csv and sum it»\n",
        "«# sort the rows\n# by name\n»",
        "def f(): pass‸\n",
    ):
        assert "optimize" not in names_of(view_of(marked)), marked


def test_nothing_is_offered_on_a_function_that_is_meant_to_be_empty() -> None:
    marked = 'class A(ABC):\n    @abstractmethod\n    def f(self):‸\n        """Do it."""\n'
    assert {"optimize", "implement", "tests"}.isdisjoint(names_of(view_of(marked)))
