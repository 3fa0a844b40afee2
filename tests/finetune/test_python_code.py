from __future__ import annotations

from collections.abc import Callable

import pytest

from finetune.cleaning.python_code import drop_unparsable, find_syntax_error
from finetune.examples import Example, Kind, Reason

Build = Callable[..., Example]


@pytest.mark.parametrize(
    "code", ["def f():\n    return 1", "    return 1", "[x for x in y]", 'pattern = "\\d"', "lambda x: (x)"]
)
def test_code_parses(code: str) -> None:
    assert find_syntax_error(code) == ""


@pytest.mark.parametrize(
    "code",
    ["SELECT * FROM t;", "The answer is 3.", "True", "let x = 5;", "x = '\0'", "(" * 5000 + ")" * 5000],
)
def test_what_is_no_python_is_told(code: str) -> None:
    assert find_syntax_error(code) != ""


def test_a_body_is_judged_under_its_signature() -> None:
    signature = "def f(x):\n    '''Double it.'''"
    assert find_syntax_error("    return 2 * x", input_text=signature, kind=Kind.BODY) == ""
    assert find_syntax_error("return 2 * x", input_text="def f(x):", kind=Kind.BODY) != ""


def test_rows_that_do_not_parse_are_dropped_with_the_reason(example: Build) -> None:
    kept, rejects = drop_unparsable([example("a", "x = 1"), example("b", "x = = 1")])
    assert [one.task for one in kept] == ["a"]
    assert rejects[0].reason is Reason.UNPARSABLE
    assert "line 1" in rejects[0].detail


def test_a_fence_and_the_prose_around_it_are_taken_off(example: Build) -> None:
    kept, _ = drop_unparsable([example("a", "Here you are:\n\n```python\nx = 1\ny = 2\n```\n\nHave fun!")])
    assert kept[0].code == "x = 1\ny = 2"


def test_a_fence_inside_a_string_stays(example: Build) -> None:
    code = 'text = """\n```python\nx\n```\n"""'
    assert drop_unparsable([example("a", code)])[0][0].code == code
