from __future__ import annotations

from pathlib import Path

import pytest

from assistant.errors import UsageError
from assistant.judging.judge import judge
from assistant.judging.reading import read_test_file
from assistant.judging.suites import find_own_tests
from assistant.sandbox import Backend

CODE = """
class ShapeError(ValueError): pass
def area(a, b=1):
    if a < 0: raise ShapeError("negative")
    return a * b
"""


def judge_file(path: Path, content: str, code: str, sandbox: Backend) -> dict[str, str]:
    path.write_text(content, encoding="utf-8")
    judgement = judge(code, read_test_file(path), sandbox=sandbox)
    return {result.name.partition(": ")[2]: str(result.standing) for result in judgement.results}


def test_asserts_functions_and_unittest_classes_are_tests(tmp_path: Path, sandbox: Backend) -> None:
    content = """
import unittest
from shapes import ShapeError, area
side = area(2, 2)
assert side == 4
side = area(3)
assert side == 3
def test_area():
    assert area(2, 3) == 6
def test_wrong(factor=2):
    assert area(factor) == 7
class TestPlain:
    def test_one(self):
        assert area(1) == 1
class Shapes(unittest.TestCase):
    def setUp(self):
        self.a = area(5)
    def test_equal(self):
        self.assertEqual(self.a, 5)
    def test_raises(self):
        with self.assertRaises(ShapeError) as caught:
            area(-1)
        self.assertIn("negative", str(caught.exception))
if __name__ == "__main__":
    unittest.main()
"""
    assert judge_file(tmp_path / "test_shapes.py", content, CODE, sandbox) == {
        "assert side == 4": "passed",
        "assert side == 3": "passed",
        "test_area": "passed",
        "test_wrong": "failed",
        "TestPlain.test_one": "passed",
        "Shapes.test_equal": "passed",
        "Shapes.test_raises": "passed",
    }


def test_parameters_and_raises_of_pytest_are_understood(tmp_path: Path, sandbox: Backend) -> None:
    content = """
import pytest
import shapes
@pytest.mark.parametrize("a, b, wanted", [(1, 2, 2), pytest.param(2, 3, 6, id="six")])
def test_area(a, b, wanted):
    assert shapes.area(a, b) == pytest.approx(wanted)
@pytest.mark.parametrize("a", [1, 2])
def test_wrong(a):
    assert shapes.area(a) == 1
def test_raises():
    with pytest.raises(shapes.ShapeError, match="neg"):
        shapes.area(-1)
def test_fixture(tmp_path):
    assert shapes.area(1) == 1
"""
    assert judge_file(tmp_path / "test_shapes.py", content, CODE, sandbox) == {
        "test_area": "passed",
        "test_wrong": "failed",
        "test_raises": "passed",
        "test_fixture": "broken",
    }


def test_a_name_that_the_code_lacks_leaves_the_tests_not_run(tmp_path: Path, sandbox: Backend) -> None:
    path = tmp_path / "test_shapes.py"
    path.write_text("from shapes import volume\ndef test_one(): assert volume(1) == 1\n")
    judgement = judge(CODE, read_test_file(path), sandbox=sandbox)
    assert [(str(result.standing), result.error) for result in judgement.results] == [
        ("not run", "NameError: the code does not define `volume` (before the tests)")
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no tests"),
        ("x = 1\n", "has no tests"),
        ("def test_a(:\n", "test_x.py:1: "),
        ("ok = 1\nassert f(1) ==\n", "test_x.py:2: "),
        ("import aa_one, bb_two\nassert aa_one.f() == bb_two.f()\n", "several modules: aa_one, bb_two"),
        ("assert '\0'\n", "test_x.py"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "test_x.py"
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        read_test_file(path)
    assert message in caught.value.message


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"test_none\.py"):
        read_test_file(tmp_path / "test_none.py")


def judge_own(text: str, code: str, sandbox: Backend) -> list[tuple[str, str]]:
    suite = find_own_tests(text)
    assert suite is not None
    return [(r.name, str(r.standing)) for r in judge(code, suite, sandbox=sandbox).results]


def test_doctests_of_a_function_judge_another_one_of_its_name(sandbox: Backend) -> None:
    text = '''
def greet(name):
    """Say hello.

    >>> greet("you")
    hello you
    >>> [greet(n) for n in ("a",)]
    hello a
    [None]
    >>> greet(1)
    Traceback (most recent call last):
        ...
    TypeError: a name
    >>> print("a\\\\n\\\\nb")
    a
    <BLANKLINE>
    b
    >>> greet("x")  # doctest: +ELLIPSIS
    he...x
    """
'''
    code = """
def greet(name):
    if name == 1: raise TypeError("a name")
    print("hello", name)
"""
    right = judge_own(text, code, sandbox)
    assert right[0] == ('line 5: greet("you")', "passed")
    assert {standing for _, standing in right} == {"passed"}
    wrong = [standing for _, standing in judge_own(text, "def greet(name): print(1)", sandbox)]
    assert wrong == ["failed", "failed", "failed", "passed", "failed"]


def test_asserts_of_a_text_bring_what_they_use(sandbox: Backend) -> None:
    text = (
        "import math\nLIMIT = 2\nEDGE = LIMIT + 1\nprint('x')\ndef f(x): ...\n"
        "assert f(EDGE) == math.floor(4.5)\nassert sum([f(1)]) == 2\n"
    )
    assert judge_own(text, "def f(x): return x + 1\ndef sum(x): return 9", sandbox) == [
        ("line 6: assert f(EDGE) == math.floor(4.5)", "passed"),
        ("line 7: assert sum([f(1)]) == 2", "passed"),
    ]


def test_examples_in_prose_are_tests(sandbox: Backend) -> None:
    text = "Write f so that it adds:\n\n>>> f(1, 2)\n3\n\nThat is all."
    assert judge_own(text, "def f(a, b): return a + b", sandbox) == [("line 3: f(1, 2)", "passed")]


def test_a_text_without_tests_has_none() -> None:
    assert find_own_tests("def f(x): return x") is None
    assert find_own_tests("no code at all") is None
