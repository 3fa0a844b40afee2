from __future__ import annotations

import warnings

import pytest

from lsp.parsing import find_fault, find_free_names, parses


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def f(x)\n    return x\n", "line 1: expected ':'"),
        ("return 1\n", "line 1: 'return' outside function"),
        ("def f(a, a): pass\n", "line 1: duplicate argument 'a' in function definition"),
        ("await f()\n", "line 1: 'await' outside function"),
        ("x = '\0'\n", "null byte"),
        ("x = '\ud83d'\n", "surrogates not allowed"),
        ("(" * 500, "too many nested parentheses"),
        ("x = " + "-" * 100_000 + "1", "too deeply nested"),
    ],
)
def test_a_fault_is_told_as_python_tells_it(text: str, message: str) -> None:
    assert message in str(find_fault(text))


def test_a_byte_order_mark_and_a_form_feed_are_no_faults() -> None:
    assert find_fault("\ufeffx = 1\n\x0cy = 2\n") is None


def test_a_cell_may_wait_at_its_top_level() -> None:
    assert find_fault("%time\nawait f()\n", is_cell=True) is None


def test_a_warning_about_the_user_s_text_is_neither_an_error_nor_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert parses('x = "\\d"\n')
        assert find_fault("x = 1 is 1\n") is None
    assert capsys.readouterr().err == ""


def test_free_names_are_those_that_come_from_elsewhere() -> None:
    code = (
        "import os\nLIMIT = 1\n\ndef f(x: Shape) -> int:\n    y = os.sep + glob\n"
        "    return [z for z in g(y, LIMIT) if z]\n\nclass A(Base):\n    a = other\n"
    )
    assert find_free_names(code) == {"Shape", "int", "glob", "g", "Base", "other"}


def test_what_is_no_program_has_no_free_names() -> None:
    assert find_free_names("def f(:") == set()
