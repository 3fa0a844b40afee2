from __future__ import annotations

import pytest

from assistant.evaluation.problems import Problem, build_program, find_test_fault, hash_problems

PROMPT = '''from typing import List


def total(numbers: List[int]) -> int:
    """ Add them up. """
'''
COMPLETION = Problem(id="1", task="Complete it.", input=PROMPT, prompt=PROMPT, entry_point="total")
OWN = Problem(id="2", task="Add.", tests=("assert add(1, 2) == 3",))


def run(text: str) -> int:
    space: dict[str, object] = {}
    exec(text, space)  # noqa: S102 - written here
    total = space["total"]
    assert callable(total)
    return total([1, 2, 3])  # pyright: ignore


@pytest.mark.parametrize(
    "reply",
    [
        "def total(numbers: List[int]) -> int:\n    return sum(numbers)\n",
        "    return sum(numbers)\n",
        "return sum(numbers)",
        "result = 0\n    for number in numbers:\n        result += number\n    return result\n",
        "    result = 0\n    for number in numbers:\n        result += number\n    return result\n",
        f"```python\n{PROMPT}    return sum(numbers)\n```",
        "Here it is:\n\n```python\ndef total(numbers):\n    return sum(numbers)\n```\nIt adds.",
        "```python\n    return sum(numbers)\n```",
        "from __future__ import annotations\n\ndef total(numbers):\n    return sum(numbers)\n",
        "def helper(numbers):\n    return sum(numbers)\n\ndef total(numbers):\n    return helper(numbers)\n",
        "total = sum",
    ],
)
def test_an_answer_completes_a_function_as_a_body_or_by_defining_it(reply: str) -> None:
    program = build_program(COMPLETION, reply)
    assert program.parses
    assert run(program.text) == 6


def test_a_body_is_indented_as_its_docstring_is() -> None:
    prompt = 'def total(numbers):\n  """Add."""\n'
    problem = Problem(id="1", task="x", input=prompt, prompt=prompt, entry_point="total")
    assert run(build_program(problem, "  return sum(numbers)").text) == 6


def test_an_answer_without_a_prompt_is_a_program_of_its_own() -> None:
    program = build_program(OWN, "```python\ndef add(a, b):\n    return a + b\n```")
    assert program.text == "def add(a, b):\n    return a + b\n"


@pytest.mark.parametrize("reply", ["", "   \n", "I cannot help with that, sorry."])
def test_a_reply_without_code_is_no_program(reply: str) -> None:
    assert not build_program(OWN, reply).parses


def test_code_that_does_not_compile_is_kept_to_be_judged() -> None:
    program = build_program(OWN, "```python\ndef add(a, b:\n    return a\n```")
    assert not program.parses
    assert "add" in program.text


def test_a_return_outside_of_a_function_does_not_count_as_python() -> None:
    assert not build_program(OWN, "return 3").parses


def test_problems_are_told_apart_by_every_text_and_their_order() -> None:
    other = Problem(id="2", task="Add.", tests=("assert add(1, 2) == 4",))
    hashes = {hash_problems(each) for each in ([OWN], [other], [OWN, COMPLETION], [COMPLETION, OWN])}
    assert len(hashes) == 4
    assert hash_problems([OWN]) == hash_problems([Problem(id="2", task="Add.", tests=OWN.tests)])


@pytest.mark.parametrize(
    ("source", "fault"),
    [("assert f() == 1", ""), ("assert f( == 1", "invalid syntax"), ("# nothing", "empty"), ("\0", "null")],
)
def test_a_test_that_cannot_be_run_is_named(source: str, fault: str) -> None:
    assert fault in find_test_fault(source) if fault else not find_test_fault(source)
