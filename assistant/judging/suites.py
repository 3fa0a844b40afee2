"""Builds suites from what people have: asserts, HumanEval's `check`, tests within a text. Runs nothing."""

from __future__ import annotations

import ast
import builtins
import functools
import sys
import threading
import warnings
from collections.abc import Iterable, Sequence

from assistant.judging.doctests import find_examples
from assistant.judging.interface import Case, Suite

BUILTINS = frozenset(dir(builtins))
MAX_NAME = 200
_WARNINGS = threading.Lock()


def build_assert_suite(asserts: Sequence[str], setup: str = "") -> Suite:
    """Make each assert a test.

    A builtin is used as Python defines it, unless the asserts call nothing else: then it is what is tested.
    A module of the standard library that they use without importing it is imported.
    """
    sources = [text.strip() for text in asserts]
    trees = [tree for text in (setup, *sources) if (tree := parse_or_none(text)) is not None]
    used = _names_used(trees)
    bound = names_bound(trees)
    modules = sorted(name for name in used - bound if name in sys.stdlib_module_names)
    names = sorted(used - bound - BUILTINS - set(modules)) or _builtins_called(trees)
    imports = "".join(f"import {name}\n" for name in modules)
    cases = [Case(name=shorten(text), source=text) for text in sources]
    return Suite(cases=tuple(cases), setup=imports + setup.replace("\r\n", "\n"), names=tuple(names))


def build_check_suite(test: str, entry_point: str, prompt: str) -> Suite:
    """Make one test of HumanEval's `check(candidate)`.

    What the prompt defines beside the function that is asked for belongs to the tests, not to the code.
    """
    setup = f"{_without_function(prompt, entry_point)}\n{test}"
    case = Case(name=f"check({entry_point})", source=f"check({entry_point})")
    return Suite(cases=(case,), setup=setup, names=(entry_point,))


def find_own_tests(text: str) -> Suite | None:
    """Return the asserts at module level and the doctests of a text, or None where there are none.

    Args:
        text: Python code, or prose with examples in it.
    """
    tree = parse_or_none(text)
    cases: list[Case] = []
    setup = ""
    if tree is not None:
        asserts = [statement for statement in tree.body if isinstance(statement, ast.Assert)]
        for statement in asserts:
            source = ast.get_source_segment(text, statement) or ast.unparse(statement)
            cases.append(Case(name=shorten(f"line {statement.lineno}: {source}"), source=source))
    examples = find_examples(text, tree)
    for example in examples:
        cases.append(Case(name=shorten(f"line {example.line}: {example.source}"), source=example.call))
    if not cases:
        return None
    sources = [case.source for case in cases if not case.source.startswith("__example__")]
    sources += [example.source for example in examples]
    used = _names_used([found for source in sources if (found := parse_or_none(source)) is not None])
    if tree is not None:
        setup = _setup_for(used, tree)
    return Suite(cases=tuple(cases), setup=setup, names=_names_of_code(sources, setup, tree))


def _names_of_code(sources: Iterable[str], setup: str, tree: ast.Module | None) -> tuple[str, ...]:
    trees = [found for source in (setup, *sources) if (found := parse_or_none(source)) is not None]
    defined = {
        node.name
        for node in (tree.body if tree else ())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    wanted = _names_used(trees) - names_bound(trees)
    return tuple(sorted(name for name in wanted if name not in BUILTINS or name in defined))


def _setup_for(used: set[str], tree: ast.Module) -> str:
    """Return the imports and assignments of a module that names depend on, in order."""
    chosen: set[int] = set()
    while True:
        before = len(chosen)
        for number, statement in enumerate(tree.body):
            if number in chosen or not isinstance(
                statement, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign
            ):
                continue
            part = ast.Module(body=[statement], type_ignores=[])
            if names_bound([part]) & used:
                chosen.add(number)
                used = used | _names_used([part])
        if len(chosen) == before:
            return "\n".join(ast.unparse(tree.body[number]) for number in sorted(chosen))


def parse_or_none(text: str) -> ast.Module | None:
    """Return the tree of a text, or None where it is not Python."""
    try:
        return parse_quietly(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def parse_quietly(text: str | bytes, name: str = "<tests>") -> ast.Module:
    """Return the tree of a text without warnings: an escape that is none is still Python.

    Raises:
        SyntaxError: It is not Python. A ValueError, RecursionError or MemoryError says so as well.
    """
    with _WARNINGS, warnings.catch_warnings():  # they are process-wide: one thread at a time
        warnings.simplefilter("ignore")
        return ast.parse(text, filename=name)


def shorten(text: str) -> str:
    """Put a test's source into one line of a report."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_NAME else f"{line[:MAX_NAME]}…"


def _names_used(trees: Iterable[ast.Module]) -> set[str]:
    return {
        node.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def names_bound(trees: Iterable[ast.Module]) -> set[str]:
    """Return every name that something in the trees binds, wherever."""
    bound: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound.add(name)
            case ast.arg(arg=name):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add(other or name.partition(".")[0])
            case ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case _:
                pass
    return bound


def find_missing_names(tree: ast.Module) -> set[str]:
    """Return what a tree uses and neither it nor Python defines."""
    return _names_used([tree]) - names_bound([tree]) - BUILTINS - {"__name__", "__file__"}


@functools.lru_cache(maxsize=256)
def needs_packages(setup: str, module: str) -> bool:
    """Whether tests import what is neither the standard library's nor the code's."""
    tree = parse_or_none(setup)
    imported = {
        name.partition(".")[0]
        for node in (ast.walk(tree) if tree else ())
        for name in _modules_of(node)
        if name
    }
    return bool(imported - sys.stdlib_module_names - {module.partition(".")[0]})


def _modules_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def _builtins_called(trees: Iterable[ast.Module]) -> list[str]:
    called = {
        node.func.id
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return sorted(called & BUILTINS)


def _without_function(prompt: str, name: str) -> str:
    tree = parse_or_none(prompt)
    if tree is None:
        return ""
    tree.body = [
        statement
        for statement in tree.body
        if not (isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == name)
    ]
    return ast.unparse(tree)
