from __future__ import annotations

import pytest
from acting import after, fenced, names_of, plan_of, refusal, view_of

from lsp.actions.catalog import build_actions
from lsp.actions.interface import ActionKind, Diagnostic
from lsp.positions import Span

BROKEN = "import os\n\n\ndef f(x)\n    return x‸\n\n\ndef g(y):\n    return y\n"


def test_each_problem_on_the_lines_is_offered_once() -> None:
    view = view_of(
        "def f():\n    return a‸ + b\n", problems=["undefined name a", "undefined name b", "undefined name a"]
    )
    offers = [offer for offer in build_actions().offer(view) if offer.action == "fix"]
    assert [offer.title for offer in offers] == ["Fix: undefined name a", "Fix: undefined name b"]
    assert {offer.kind for offer in offers} == {ActionKind.QUICK_FIX}
    assert len({offer.key for offer in offers}) == 2


def test_a_problem_on_other_lines_is_not_offered() -> None:
    far = Diagnostic(span=Span(start=0, end=3), message="unused")
    assert "fix" not in names_of(view_of("x = 1\ny = 2\nz = 3‸\n", problems=[far]))


def test_a_long_message_is_cut_in_the_menu_alone() -> None:
    message = "this is wrong " * 20
    view = view_of("def f():\n    return a‸\n", problems=[message])
    offer = next(offer for offer in build_actions().offer(view) if offer.action == "fix")
    assert len(offer.title) == 90
    assert message.strip() in plan_of(view, "fix").request.turns[0].text


def test_what_the_editor_said_comes_back_with_the_offer() -> None:
    origin = object()
    problem = Diagnostic(span=Span(start=0, end=1), message="wrong", origin=origin)
    view = view_of("x‸ = 1\n", problems=[problem])
    offer = next(offer for offer in build_actions().offer(view) if offer.action == "fix")
    assert offer.diagnostic is not None
    assert offer.diagnostic.origin is origin


def test_a_syntax_error_is_found_without_the_editor() -> None:
    view = view_of(BROKEN)
    assert [offer.title for offer in build_actions().offer(view) if offer.action == "fix"] == [
        "Fix: expected ':'"
    ]
    assert after(view, "fix", fenced("def f(x):\n    return x")) == BROKEN.replace("‸", "").replace(
        "f(x)", "f(x):"
    )


def test_a_syntax_error_elsewhere_is_not_offered_here() -> None:
    assert "fix" not in names_of(view_of(BROKEN.replace("‸", "") + "    z‸ = 1\n"))


@pytest.mark.parametrize(
    ("marked", "reply", "fixed"),
    [
        ("x = (1,\ny = 2‸\n", "x = (1,)\ny = 2\n", "x = (1,)\ny = 2\n"),
        ("if x\n    y‸()\n", "if x:\n    y()\n", "if x:\n    y()\n"),
        (
            "class A:\n    def f(self):\n        x = [1‸\n        return x\n\n    def g(self):\n        0\n",
            "def f(self):\n    x = [1]\n    return x\n",
            "class A:\n    def f(self):\n        x = [1]\n        return x\n\n    def g(self):\n        0\n",
        ),
        ("print 'hello'‸\n", "print('hello')\n", "print('hello')\n"),
        ("def f(a, a):\n    return‸ a b\n", "def f(a, b):\n    return a\n", "def f(a, b):\n    return a\n"),
        ("@dec\ndef f(:\n\tx‸\n", "@dec\ndef f():\n    x\n", "@dec\ndef f():\n\tx\n"),
    ],
)
def test_broken_code_is_replaced_by_what_parses(marked: str, reply: str, fixed: str) -> None:
    assert after(view_of(marked), "fix", reply) == fixed


def test_a_function_that_is_fixed_must_still_be_there() -> None:
    assert "leaves out `f`" in refusal(view_of(BROKEN), "fix", "x = 1\n").reason


def test_the_function_around_a_problem_is_replaced_with_what_it_needs() -> None:
    view = view_of("@dec\ndef f(p):\n    '''Doc.'''\n    return os‸.sep\n", problems=["undefined name os"])
    assert after(view, "fix", fenced("import os\n\ndef f(p):\n    return os.sep")) == (
        "import os\n\n\n@dec\ndef f(p):\n    '''Doc.'''\n    return os.sep\n"
    )


def test_a_header_may_change_where_the_problem_is_in_it() -> None:
    problem = Diagnostic(span=Span(start=8, end=10), message="mutable default")
    view = view_of("def f(x=[‸]):\n    return x\n", problems=[problem])
    assert (
        after(view, "fix", "def f(x=None):\n    return x or []\n") == "def f(x=None):\n    return x or []\n"
    )
    inside = view_of("def f(x=[]):\n    return ‸x\n", problems=["x is odd"])
    assert "parameters" in refusal(inside, "fix", "def f(y=None):\n    return y\n").reason


def test_a_problem_outside_of_functions_is_fixed_in_its_statement() -> None:
    view = view_of("import os\nx = foo‸(1)\ny = 2\n", problems=["undefined name foo"])
    assert plan_of(view, "fix").request.turns[0].input == "import os\n\nx = foo(1)"
    assert after(view, "fix", "x = int(1)\n") == "import os\nx = int(1)\ny = 2\n"


def test_a_problem_at_the_very_end_is_no_trouble() -> None:
    view = view_of("x = (‸", problems=[Diagnostic(span=Span(start=5, end=5), message="unexpected end")])
    assert after(view, "fix", "x = ()\n") == "x = ()"
