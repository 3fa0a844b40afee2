"""A problem, how it is put to a model, and the program that its answer makes. Runs nothing.

- A row of MBPP: its text is the task, its tests are the input, a line each.
- A problem of HumanEval: `COMPLETION_TASK`, and the function's beginning as the input. An answer that defines
  the function follows that beginning, whose imports and helpers it may use; any other answer is taken for the
  function's body, indented as a body is.
- A row of your own: task and input as they are.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from assistant.errors import AssistantError
from assistant.replies import extract_code

COMPLETION_TASK = "Complete the Python function in the input."
_INDENT = "    "


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One task whose answer can be tested."""

    id: str
    """No other problem of the suite has it."""
    task: str
    input: str = ""
    tests: tuple[str, ...] = ()
    """Statements that must run without an exception, each by itself."""
    setup: str = ""
    """Statements before the tests."""
    check: str = ""
    """HumanEval's way: a function `check(candidate)`, in place of `tests`."""
    doctests: str = ""
    """A function whose docstring holds the tests, in place of them."""
    entry_point: str = ""
    """What is to be defined, where that is known."""
    prompt: str = ""
    """Code that the answer goes on with; empty where the answer is a program of its own."""
    solution: str = ""
    """A whole program that solves it; empty where none is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What an answer comes to."""

    text: str
    """To be run before the tests. Empty where the reply holds no code."""
    parses: bool


def hash_problems(problems: Sequence[Problem]) -> str:
    """Return what tells these problems from others: the sha256 of all of their texts, in order."""
    texts = json.dumps([asdict(problem) for problem in problems], sort_keys=True)
    return hashlib.sha256(texts.encode("utf-8", "surrogatepass")).hexdigest()


def build_program(problem: Problem, reply: str) -> Program:
    """Return the program that a reply makes for a problem."""
    try:
        code = extract_code(reply).text if reply.strip() else ""
    except AssistantError:
        code = ""
    if not code.strip():
        return Program(text="", parses=False)
    ways = list(_list_programs(problem, reply, code))
    for text in ways:
        if _parses(text):
            return Program(text=text, parses=True)
    return Program(text=ways[0], parses=False)


def _list_programs(problem: Problem, reply: str, code: str) -> Iterator[str]:
    """Yield the ways to read an answer, the likeliest first."""
    if not problem.prompt:
        yield code
        return
    if _defines(code, problem.entry_point):
        yield f"{problem.prompt.rstrip()}\n\n\n{code}"
        yield code  # with `from __future__`, which nothing may precede
        return
    prompt = problem.prompt.rstrip()
    indent = _find_indent(prompt)
    yield f"{prompt}\n{textwrap.indent(textwrap.dedent(code), indent)}"
    # The first line lost its indentation, as what a model is shown ends with it.
    yield f"{prompt}\n{indent}{code.lstrip()}"
    yield f"{prompt}\n{reply}"


def _find_indent(prompt: str) -> str:
    """Return what the last line of a function's beginning is indented by."""
    line = prompt.rsplit("\n", 1)[-1]
    return line[: len(line) - len(line.lstrip())] or _INDENT


def _defines(code: str, name: str) -> bool:
    return (
        re.search(rf"^(?:async\s+)?def\s+{re.escape(name)}\b|^{re.escape(name)}\s*=", code, re.M) is not None
    )


def _parses(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a string is worth one, and no more
            # Compiled and thrown away: a `return` outside of a function parses and does not compile.
            compile(text, "answer", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return False
    return True


def find_test_fault(source: str) -> str:
    """Say why a test cannot be run with any answer; empty where it parses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(source).body
    except SyntaxError as error:
        return f"{error.msg} (its line {error.lineno})"
    except (ValueError, RecursionError, MemoryError) as error:
        return str(error) or type(error).__name__
    return "" if body else "it is empty"
