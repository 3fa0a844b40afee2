from __future__ import annotations

import pytest
from acting import view_of

from lsp.regions import find_definition, find_region

FUNCTION = "def f(x):\n    y = x + 1\n    return y"


def region_text(marked: str) -> str | None:
    view = view_of(marked)
    region = find_region(view.tree, view.selection)
    return region.span.cut(view.text) if region else None


@pytest.mark.parametrize(
    "marked",
    [
        "‸def f(x):\n    y = x + 1\n    return y\n",
        "def f(x):‸\n    y = x + 1\n    return y\n",
        "def f(x):\n‸    y = x + 1\n    return y\n",
        "def f(x):\n    y = x + 1\n    return y‸\n",
        "def f(x):\n    «y» = x + 1\n    return y\n",
        "def «f(x)»:\n    y = x + 1\n    return y\n",
        "«def f(x):\n    y = x + 1\n    return y\n»",
        "«def f(x):\n    y = x + 1\n    return y»\n",
    ],
)
def test_a_cursor_or_a_selected_function_stands_for_the_function(marked: str) -> None:
    assert region_text(marked) == FUNCTION


def test_a_double_click_on_a_name_stands_for_the_function_around_it() -> None:
    assert region_text("def f(value):\n    return «value»\n") == "def f(value):\n    return value"


def test_a_cursor_outside_of_functions_stands_for_nothing() -> None:
    assert region_text("x = 1‸\n\ndef f(): return 1\n") is None
    assert region_text("def f(): return 1\n\n\n‸\nx = 1\n") is None
    assert region_text("‸") is None


def test_decorators_belong_to_their_function() -> None:
    assert region_text("@a\n@b‸(1)\ndef f(): return 1\n") == "@a\n@b(1)\ndef f(): return 1"


def test_an_expression_is_taken_exactly() -> None:
    assert region_text("x = «sum([a for a in b])» + 1\n") == "sum([a for a in b])"


def test_whole_statements_are_taken_exactly() -> None:
    text = "def f():\n    a = 1\n«    b = 2\n    c = 3\n»    return c\n"
    assert region_text(text) == "b = 2\n    c = 3"


def test_half_a_statement_is_widened_to_all_of_it() -> None:
    assert region_text("def f():\n    for a in«  b:\n        print(»a)\n    return 1\n") == (
        "for a in  b:\n        print(a)"
    )


def test_a_branch_is_widened_to_its_statement() -> None:
    assert region_text("if a:\n    b()\n«else:\n    c()\n»d()\n") == "if a:\n    b()\nelse:\n    c()"


def test_a_statement_beside_another_takes_it_along() -> None:
    assert region_text("a = 1; «b = 2»; c = 3\n") == "a = 1; b = 2; c = 3"
    assert region_text("if x: «y = f(x)»\n") == "if x: y = f(x)"


def test_a_comment_behind_a_statement_does_not_widen_it() -> None:
    assert region_text("«a = f(1)»  # why\nb = 2\n") == "a = f(1)"


def test_text_in_a_string_is_no_expression() -> None:
    assert region_text("x = f('a «+ b» c')\n") == "x = f('a + b c')"


def test_the_innermost_definition_is_found() -> None:
    view = view_of("class A:\n    x = 1‸\n    def f(self):\n        pass\n")
    definition = find_definition(view.tree, view.selection)
    assert definition is not None
    assert definition.name == "A"
