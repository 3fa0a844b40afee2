from __future__ import annotations

import ast

import pytest
from acting import after, fenced, names_of, refusal, view_of
from hypothesis import given
from hypothesis import strategies as st

from lsp.docstrings import render_docstring

DOCUMENTED = 'def add(a, b):\n    """Add two numbers."""\n    return a + b\n'


def test_the_docstring_comes_below_the_header() -> None:
    view = view_of("def add(a, b):‸  # sum\n    # why\n    return a + b\n")
    assert after(view, "docstring", fenced(DOCUMENTED)) == (
        'def add(a, b):  # sum\n    """Add two numbers."""\n    # why\n    return a + b\n'
    )


def test_nothing_but_the_docstring_is_taken() -> None:
    view = view_of("@dec\ndef add(a,b=( 1 )): \n    x = a+b # odd\n    return‸ x\n")
    reply = fenced('def add(a: int, b=1) -> int:\n    """Add."""\n    import os\n    return 5')
    assert after(view, "docstring", reply) == (
        '@dec\ndef add(a,b=( 1 )): \n    """Add."""\n    x = a+b # odd\n    return x\n'
    )


def test_a_docstring_of_several_lines_is_indented_into_place() -> None:
    view = view_of("class A:\r\n\tdef f(self):\r\n\t\treturn 1‸\r\n")
    reply = fenced('def f(self):\n    """\n    Return one.\n\n        It does.\n    """\n    return 1')
    assert after(view, "docstring", reply) == (
        'class A:\r\n\tdef f(self):\r\n\t\t"""Return one.\r\n\r\n'
        '\t\t    It does.\r\n\t\t"""\r\n\t\treturn 1\r\n'
    )


def test_a_body_on_the_line_of_the_header_moves_below_the_docstring() -> None:
    view = view_of("def add(a, b): return a + b‸\n")
    assert after(view, "docstring", fenced(DOCUMENTED)) == DOCUMENTED


def test_a_class_gets_its_own_docstring() -> None:
    view = view_of("class A‸:\n    x = 1\n\n    def f(self):\n        return 1\n")
    reply = 'class A:\n    """An A."""\n\n    def f(self):\n        """No."""\n'
    assert after(view, "docstring", reply) == (
        'class A:\n    """An A."""\n    x = 1\n\n    def f(self):\n        return 1\n'
    )


def test_an_answer_that_is_a_string_alone_is_the_docstring() -> None:
    view = view_of("def add(a, b):\n    return a + b‸\n")
    assert after(view, "docstring", '"""Add two numbers."""') == DOCUMENTED


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("x = 1\n", "does not define the function `add`"),
        ('def plus(a, b):\n    """Add."""\n    return a + b\n', "does not define the function `add`"),
        ("def add(a, b):\n    return a + b\n", "has no docstring"),
        ('def add(a, b):\n    """   """\n    return a + b\n', "no plain string"),
        ('def add(a, b):\n    f"""Add {a}."""\n    return a + b\n', "no plain string"),
        ('class add:\n    """Add."""\n', "does not define the function `add`"),
        ('"""Add.""" + "more"\n', "does not define the function `add`"),
    ],
)
def test_an_answer_without_a_docstring_for_it_is_refused(reply: str, reason: str) -> None:
    assert reason in refusal(view_of("def add(a, b):\n    return a + b‸\n"), "docstring", reply).reason


@pytest.mark.parametrize(
    "marked",
    [
        'def f():\n    """Doc."""\n    return 1‸\n',
        "x = 1‸\n",
        "def f(‸\n    return 1\n",
        "def f():\n    # no body‸\n",
    ],
)
def test_it_is_offered_where_one_is_missing(marked: str) -> None:
    assert "docstring" not in names_of(view_of(marked))


@given(
    st.text(alphabet="a\"'\\ \n\tné\r", max_size=25),
    st.sampled_from(['"""', "'''", '"', "'"]),
    st.sampled_from(["", "r"]),
)
def test_a_docstring_says_the_same_wherever_it_stands(content: str, quotes: str, prefix: str) -> None:
    literal = f"{prefix}{quotes}{content}{quotes}".replace("\r", "")
    try:
        value = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return
    if not isinstance(value, str):
        return
    rendered = render_docstring(literal, "    ")
    if not rendered:
        assert not value.strip() or "\\" in content or quotes[0] in content
        return
    tree = ast.parse(f"def f():\n    {rendered}\n    return 1\n")
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    # A continued line moves with its text, and so the blanks between its words may be others.
    assert "".join((ast.get_docstring(function) or "").split()) == "".join(value.split())
    assert len(function.body) == 2
