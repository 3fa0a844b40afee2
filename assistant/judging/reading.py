"""Reads a Python file of tests as a suite. Imports and runs nothing of it."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from assistant.errors import UsageError
from assistant.judging.interface import Case, Suite
from assistant.judging.suites import find_missing_names, parse_quietly, shorten

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def read_test_file(path: Path) -> Suite:
    """Read asserts at module level, functions `test_*`, and test classes of pytest and unittest.

    What the file imports of the module under test is what the tests are for: the module that the file is
    named after (`test_shapes.py`), or the only one that it imports and that is not installed.

    Raises:
        UsageError: It cannot be read, is not Python, has no tests, or leaves open which module they are for.
    """
    tree = _read_tree(path)
    module = _find_module(tree, path)
    setup: list[ast.stmt] = []
    waiting: list[ast.stmt] = []
    cases: list[Case] = []
    for statement in tree.body:
        if isinstance(statement, ast.Assert):
            source = ast.unparse(ast.Module(body=[*waiting, statement], type_ignores=[]))
            cases.append(_build_case(statement, ast.unparse(statement), source))
            waiting = []
        elif isinstance(statement, DEFINITIONS):
            setup.append(_made_absolute(statement))
        elif not _is_entry(statement):
            waiting.append(statement)
    setup += waiting
    for statement in tree.body:
        cases += _read_definition(statement)
    if not cases:
        raise UsageError(
            f"{path} has no tests", hint="it needs asserts, functions named test_…, or classes of them"
        )
    body = ast.Module(body=setup, type_ignores=[])
    names = _names_of_module(tree, module) if module else tuple(sorted(find_missing_names(tree)))
    return Suite(cases=tuple(cases), setup=ast.unparse(body), names=names, module=module)


def _read_tree(path: Path) -> ast.Module:
    try:
        return parse_quietly(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except SyntaxError as error:
        raise UsageError(f"{path}:{error.lineno or 1}: {error.msg}", hint="correct the tests") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{path} is not Python: {error}") from error


def _build_case(statement: ast.stmt, name: str, source: str) -> Case:
    return Case(name=shorten(f"line {statement.lineno}: {name}"), source=source)


def _read_definition(statement: ast.stmt) -> Iterator[Case]:
    match statement:
        case ast.FunctionDef(name=name) if name.startswith("test"):
            yield _build_case(statement, name, f"__run_test__({name!r})")
        case ast.ClassDef(name=name) if name.startswith("Test") or _is_unittest(statement):
            for method in statement.body:
                if isinstance(method, ast.FunctionDef) and method.name.startswith("test"):
                    full = f"{name}.{method.name}"
                    yield _build_case(method, full, f"__run_test__({full!r})")
        case _:
            pass


def _is_unittest(statement: ast.ClassDef) -> bool:
    return any(ast.unparse(base).endswith("TestCase") for base in statement.bases)


def _is_entry(statement: ast.stmt) -> bool:
    """Whether this starts the tests when the file is run."""
    return isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)


def _made_absolute(statement: ast.stmt) -> ast.stmt:
    if isinstance(statement, ast.ImportFrom) and statement.module:
        statement.level = 0
    return statement


def _imported(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, 0) for alias in names)
            case ast.ImportFrom(module=str(module), level=level):
                yield module, level
            case _:
                pass


def _find_module(tree: ast.Module, path: Path) -> str:
    imported = {
        name: level
        for name, level in _imported(tree)
        if name.partition(".")[0] not in sys.stdlib_module_names
    }
    named_after = {path.stem.removeprefix("test_"), path.stem.removesuffix("_test")}
    likely = [name for name in imported if name.rpartition(".")[2] in named_after]
    likely = likely or [name for name, level in imported.items() if level or not _is_installed(name)]
    if len(likely) > 1:
        raise UsageError(
            f"{path} tests several modules: {', '.join(sorted(likely))}",
            hint="test one module with one file, or name the file test_<module>.py",
        )
    return likely[0] if likely else ""


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def _names_of_module(tree: ast.Module, module: str) -> tuple[str, ...]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and module in (alias.name for alias in node.names):
            return ()
        if isinstance(node, ast.ImportFrom) and node.module == module:
            names |= {alias.name for alias in node.names}
    return () if "*" in names else tuple(sorted(names))
