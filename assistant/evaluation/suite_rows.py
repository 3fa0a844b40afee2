"""Rows of a suite into problems, those of MBPP and your own alike. Knows no files.

{"task": …, "tests": […] or "…", "input": …, "setup": …, "id": …, "solution": …}   your own
{"text": …, "test_list": […], "task_id": …, "test_setup_code": …, "code": …}      MBPP
{"prompt": …, "test_list": […], "task_id": …, "test_imports": […], "code": …}     MBPP, sanitized
"""

from __future__ import annotations

import ast
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from assistant.errors import UsageError
from assistant.evaluation.problems import Problem, find_test_fault

_QUIET = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign)
"""Statements that cannot fail for what is tested."""
WANTED = 'a row is {"task": "what to write", "tests": ["assert f(1) == 2"]}, and input, setup, id if you like'


def list_rows(text: str, name: str) -> Iterator[tuple[str, object]]:
    """Yield the rows of JSON Lines, each with its place.

    Raises:
        UsageError: A line is no JSON.
    """
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            value: object = json.loads(line)
        except json.JSONDecodeError as error:
            raise UsageError(
                f"{place}: not JSON: {error.msg} at column {error.colno}", hint=WANTED
            ) from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{place}: not JSON that can be read: {error}") from error
        yield place, value


def build_problems(rows: Iterable[tuple[str, object]]) -> list[Problem]:
    """Turn rows into problems.

    Args:
        rows: Each with its place, for messages.

    Raises:
        UsageError: A row lacks something, or its tests are no Python; the message names the place.
    """
    problems: list[Problem] = []
    places: dict[str, str] = {}
    for number, (place, row) in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise UsageError(f"{place}: not an object but {type(row).__name__}", hint=WANTED)
        problem = build_problem(cast("dict[str, Any]", row), place, number)
        if problem.id in places:
            raise UsageError(f"{place}: the id {problem.id} is that of {places[problem.id]}, too")
        places[problem.id] = place
        problems.append(problem)
    return problems


def build_problem(row: Mapping[str, Any], place: str, number: int) -> Problem:
    """Turn one row into a problem.

    Args:
        row: Its columns.
        place: Where it stands, for messages.
        number: Its number, from 1: its id where it has none.

    Raises:
        UsageError: It lacks something, or its tests are no Python.
    """
    problem = _build_mbpp(row, place, number) if "test_list" in row else _build_own(row, place, number)
    for count, test in enumerate(problem.tests, start=1):
        fault = find_test_fault(test)
        if fault:
            which = f"test {count} of {len(problem.tests)}" if len(problem.tests) > 1 else "the test"
            raise UsageError(f"{place}: {which} does not parse: {fault}", hint=f"it is {test[:80]!r}")
    if problem.setup and find_test_fault(problem.setup) not in ("", "it is empty"):
        raise UsageError(f"{place}: setup does not parse: {find_test_fault(problem.setup)}")
    return problem


def _build_mbpp(row: Mapping[str, Any], place: str, number: int) -> Problem:
    tests = _texts(row, "test_list", place)
    task = _text(row, "text" if row.get("text") else "prompt", place)
    setup = _text(row, "test_setup_code", place, is_needed=False)
    imports = _texts(row, "test_imports", place, is_needed=False)
    return Problem(
        id=_id(row, "task_id", place, number),
        task=task,
        input="\n".join(tests),
        tests=tests,
        setup="\n".join([*imports, *([setup] if setup.strip() else [])]),
        # Its lines end as files did on the machine of whoever wrote it.
        solution=_text(row, "code", place, is_needed=False).replace("\r\n", "\n"),
    )


def _build_own(row: Mapping[str, Any], place: str, number: int) -> Problem:
    tests, setup = row.get("tests"), _text(row, "setup", place, is_needed=False)
    if isinstance(tests, str) and tests.strip():
        before, texts = split_tests(tests, place)
        setup = "\n".join(filter(None, (setup, before)))
    else:
        texts = tuple(split_tests(text, place, is_whole=True)[1][0] for text in _texts(row, "tests", place))
    return Problem(
        id=_id(row, "id", place, number),
        task=_text(row, "task", place),
        input=_text(row, "input", place, is_needed=False),
        tests=texts,
        setup=setup,
        solution=_text(row, "solution", place, is_needed=False),
    )


def split_tests(text: str, place: str, *, is_whole: bool = False) -> tuple[str, tuple[str, ...]]:
    """Cut tests that were written as one text into what stands before them, and the tests.

    Asserts with nothing but preparations before them are a test each; else all of it is one. Test functions
    are called.

    Args:
        text: The tests.
        place: Where they stand, for messages.
        is_whole: Cut nothing.

    Raises:
        UsageError: Nothing of it can fail.
    """
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "", (text,)  # what is wrong with it is said elsewhere
    asserts = list(itertools.dropwhile(lambda one: not isinstance(one, ast.Assert), body))
    if asserts and not is_whole and all(isinstance(one, ast.Assert) for one in asserts):
        before = body[: len(body) - len(asserts)]
        if not any(isinstance(one, ast.Expr | ast.If | ast.For | ast.While | ast.With) for one in before):
            lines = text.splitlines()
            head = "\n".join(lines[: asserts[0].lineno - 1]) if before else ""
            return head, tuple(ast.get_source_segment(text, one) or ast.unparse(one) for one in asserts)
    if not body or not all(isinstance(one, _QUIET) for one in body):
        return "", (text,)
    calls = [one.name for one in body if isinstance(one, ast.FunctionDef) and one.name.startswith("test")]
    if not calls:
        raise UsageError(f"{place}: tests check nothing: there is no assert, and no function test_…")
    return "", ("\n".join([text.rstrip(), "", "", *(f"{name}()" for name in calls)]),)


def _text(row: Mapping[str, Any], key: str, place: str, *, is_needed: bool = True) -> str:
    value = row.get(key)
    if value is None or value == "":
        if not is_needed:
            return ""
        raise UsageError(f"{place}: {key} is missing", hint=WANTED)
    if not isinstance(value, str):
        raise UsageError(f"{place}: {key} must be text, not {type(value).__name__}", hint=WANTED)
    if is_needed and not value.strip():
        raise UsageError(f"{place}: {key} is empty", hint=WANTED)
    return value


def _texts(row: Mapping[str, Any], key: str, place: str, *, is_needed: bool = True) -> tuple[str, ...]:
    value = row.get(key)
    if value is None or value in ("", []):
        if not is_needed:
            return ()
        raise UsageError(f"{place}: {key} is missing", hint=WANTED)
    texts = cast("Sequence[Any]", value) if isinstance(value, list | tuple) else ()
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise UsageError(f"{place}: {key} must be a list of texts", hint=WANTED)
    return tuple(texts)


def _id(row: Mapping[str, Any], key: str, place: str, number: int) -> str:
    value = row.get(key)
    if value is None:
        return str(number)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise UsageError(f"{place}: {key} must be a number or text")
    return str(value)
