from __future__ import annotations

import pytest
from acting import after, fenced, names_of, refusal, view_of

HINTED = "def add(a: int, b: int = 1) -> int:\n    return a + b\n"


def test_hints_come_beside_their_parameters_and_nothing_else_changes() -> None:
    view = view_of("@dec\ndef add(a,b=1)  :  # sum\n    return a+b‸\n")
    assert after(view, "hints", fenced(HINTED)) == (
        "@dec\ndef add(a: int,b: int = 1) -> int  :  # sum\n    return a+b\n"
    )


def test_every_kind_of_parameter_gets_its_own() -> None:
    view = view_of("def f(a, /, b, *c, d, e = 2, **g):\n    return 1‸\n")
    reply = "def f(a: int, /, b: str, *c: int, d: bool, e: float = 2, **g: str) -> None:\n    pass\n"
    assert after(view, "hints", reply) == (
        "def f(a: int, /, b: str, *c: int, d: bool, e: float = 2, **g: str) -> None:\n    return 1\n"
    )


def test_hints_that_are_there_stay_as_they_are() -> None:
    view = view_of("def add(a: float, b) -> float:\n    return a + b‸\n")
    assert after(view, "hints", fenced(HINTED)) == "def add(a: float, b: int) -> float:\n    return a + b\n"


def test_self_gets_none() -> None:
    view = view_of("class A:\n    def f(self, x):\n        return x‸\n")
    reply = "def f(self: 'A', x: int) -> int:\n    return x\n"
    assert after(view, "hints", reply) == "class A:\n    def f(self, x: int) -> int:\n        return x\n"


def test_a_class_gets_the_hints_of_its_methods() -> None:
    view = view_of("class A‸:\n    def f(self, x): return x\n\n    def g(self): return 1\n")
    reply = "class A:\n    def f(self, x: int) -> int: return x\n    def g(self) -> int: return 1\n"
    assert after(view, "hints", reply) == (
        "class A:\n    def f(self, x: int) -> int: return x\n\n    def g(self) -> int: return 1\n"
    )


@pytest.mark.parametrize(
    ("above", "hint", "written"),
    [
        ("", "Any", '"Any"'),
        ("from typing import Any\n\n\n", "Any", "Any"),
        ("if TYPE_CHECKING:\n    from typing import Any\n\n\n", "Any", '"Any"'),
        ("from __future__ import annotations\n\n\n", "Any", "Any"),
        ("", 'Literal["a"]', "\"Literal['a']\""),
        ("", "'Any'", "'Any'"),
        ("import typing as t\n\n\n", "t.Any", "t.Any"),
        ("", "list[\n        int\n    ]", "list[ int ]"),
        ("class B:\n    pass\n\n\n", "B", "B"),
    ],
)
def test_a_name_that_is_not_known_by_then_is_quoted(above: str, hint: str, written: str) -> None:
    view = view_of(f"{above}def f(x):\n    return x‸\n\n\nclass Later: pass\n")
    assert f"def f(x: {written}):" in after(view, "hints", f"def f(x: {hint}):\n    return x\n")


def test_a_class_that_is_defined_later_is_quoted() -> None:
    view = view_of("def f(x):\n    return x‸\n\n\nclass Later: pass\n")
    assert 'def f(x: "Later"):' in after(view, "hints", "def f(x: Later):\n    return x\n")


def test_a_method_s_own_class_is_quoted() -> None:
    view = view_of("class A:\n    def f(self):\n        return self‸\n")
    assert 'def f(self) -> "A":' in after(view, "hints", "def f(self) -> A:\n    return self\n")


@pytest.mark.parametrize("hint", ["any", "int[str]", "print", "max | None"])
def test_what_is_no_type_is_left_away(hint: str) -> None:
    view = view_of("def f(x):\n    return x‸\n")
    refused = refusal(view, "hints", f"def f(x: {hint}):\n    return x\n")
    assert "has no type hints that `f` lacks" in refused.reason


@pytest.mark.parametrize(
    "reply", ["x = 1\n", "def plus(a: int) -> int:\n    return a\n", "def add(a, b):\n    return a\n"]
)
def test_an_answer_without_hints_for_it_is_refused(reply: str) -> None:
    assert refusal(view_of("def add(a, b):\n    return a‸\n"), "hints", reply).code == reply


def test_it_is_offered_where_one_is_missing() -> None:
    assert "hints" not in names_of(view_of("def f(a: int) -> int:\n    return a‸\n"))
    assert "hints" not in names_of(view_of("class A:‸\n    x = 1\n"))
