from __future__ import annotations

import inspect
import textwrap
import types
from pathlib import Path

import pytest

from assistant import config, requests
from assistant.engine import batch, guard
from assistant.engine.guard import Fault, Reading, find_fault, find_unfinished, open_reading, read_on
from assistant.replies import lines

MODULES = [batch, config, guard, lines, requests, textwrap]


def read(text: str, *, is_all_code: bool = True) -> Reading | Fault:
    reading = open_reading(is_all_code=is_all_code)
    for character in text:
        after = read_on(reading, character)
        if isinstance(after, Fault):
            return after
        reading = after
    return reading


def is_faulty(text: str, *, is_all_code: bool = True) -> bool:
    return isinstance(read(text, is_all_code=is_all_code), Fault)


def check_every_beginning(program: str) -> None:
    reading: Reading | Fault = open_reading(is_all_code=True)
    for line in program.splitlines(keepends=True):
        assert isinstance(reading, Reading)
        reading = read_on(reading, line)
    assert isinstance(reading, Reading)
    assert find_unfinished(reading) is None


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_beginning_of_a_program_is_faulty(module: types.ModuleType) -> None:
    check_every_beginning(inspect.getsource(module))


@pytest.mark.parametrize(
    "line",
    [
        "x = = 1",
        "print 'a'",
        "def f(x) return x",
        "x = [1, 2)",
        "x = 'abc",
        "if x = 1:",
        "else:",
        "for i in range(3)",
        "    indented",
        "f'{a b}'",
        "1 = x",
    ],
)
def test_a_line_that_cannot_be_python_is_found_when_it_ends(line: str) -> None:
    assert not is_faulty(f"y = 1\n{line}")
    assert is_faulty(f"y = 1\n{line}\n")


@pytest.mark.parametrize(
    "code",
    [
        "def f():\n",
        "x = (1,\n",
        "def f():\n    '''about\n  it = = 1\n",
        "x = 1 + \\\n",
        "@decorated\n",
        "try:\n    x = 1\n",
        "# nothing yet\n\n",
        'x = "\\d"\n',
        "x = 1\r\ny = 2\r\n",
    ],
)
def test_what_more_text_can_mend_is_no_fault(code: str) -> None:
    assert not is_faulty(code)


def test_code_that_ends_must_be_whole() -> None:
    for code, is_whole in [("def f():\n", False), ("def f():\n    return 1", True), ("x = (1,", False)]:
        reading = read(code)
        assert isinstance(reading, Reading)
        assert (find_unfinished(reading) is None) == is_whole


def test_a_fence_ends_the_code_and_must_not_come_too_early() -> None:
    assert is_faulty("```python\ndef f():\n```\n", is_all_code=False)
    assert not is_faulty("```python\ndef f():\n    pass\n```\nThat = = all.\n", is_all_code=False)


@pytest.mark.parametrize(
    "reply",
    [
        "Here you = = are:\n",
        "Run this:\n```sh\npip install it\n```\n",
        "It prints:\n```\nThe sum is 3\n```\n",
        "```python\n>>> f(3)\n3\n```\n",
        "```pip install it```\nx = = 1\n",
        "Sure, I can help you with that\nx = = 1\n",
        "```python\nx = 1\n```\nOr:\n```python\nx = = 1\n```\n",
    ],
)
def test_what_is_not_the_answer_s_code_is_not_checked(reply: str) -> None:
    assert not is_faulty(reply, is_all_code=False)
    assert not is_faulty(reply)


def test_code_without_a_fence_is_checked_where_it_clearly_is_code() -> None:
    assert is_faulty("def f(x):\n    return = 1\n", is_all_code=False)
    assert not is_faulty("total 3\nx = = 1\n", is_all_code=False)
    assert is_faulty("total 3\n")


def test_prose_after_bare_code_is_no_fault() -> None:
    assert not is_faulty("x = 1\nThis sets x to one.\ny = = 1\n")


def test_a_new_task_after_bare_code_is_no_fault() -> None:
    assert not is_faulty("x = 1\n### Task:\nAdd two numbers\n")


def test_indented_code_is_read_as_it_stands() -> None:
    assert not is_faulty("    x = 1\n    y = 2\n")
    assert not is_faulty("  ```python\n  def f():\n      return 1\n  ```\n", is_all_code=False)
    assert is_faulty("  ```python\n  def f():\n  return 1\n", is_all_code=False)


def test_a_fault_says_how_far_it_reaches() -> None:
    fault = read("y = 1\nx = [1, 2) + more(a, b)\n")
    assert isinstance(fault, Fault)
    assert fault.end == len("x = [1, 2)")
    assert find_fault("x = (1\ny = 2\n") == Fault(message="'(' was never closed")


def test_what_is_over_is_not_kept() -> None:
    reading = read("".join(f"x{number} = {number}\n" for number in range(50)))
    assert isinstance(reading, Reading)
    assert reading.code == "x49 = 49\n"
    functions = read("".join(f"def f{number}():\n    return {number}\n" for number in range(200)))
    assert isinstance(functions, Reading)
    assert len(functions.code) < 2 * guard.SHED_CHARS


def test_code_too_long_to_check_is_not_checked() -> None:
    body = f"    x = '{'a' * 1000}'\n" * (guard.LONGEST_CHARS // 1000)
    assert is_faulty("def f():\n    y = = 2\n")
    assert not is_faulty(f"def f():\n{body}    y = = 2\n")


@pytest.mark.slow
def test_no_beginning_of_the_standard_library_s_programs_is_faulty() -> None:
    files = sorted(Path(inspect.__file__).parent.glob("*.py"))
    assert len(files) > 100
    for path in files:
        check_every_beginning(path.read_text(encoding="utf-8"))
