"""Test functions of a file that test one function of another file, each as statements of its own.

Taken are functions `test_…` without parameters and decorators that use one name imported from a module which
is not Python's own, and beside it nothing of their file but imports of Python's own modules.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from assistant.evaluation.syntax import KNOWN, find_imports, find_used_names, list_bound_names


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTest:
    """One test of one function."""

    module: str
    """The last part of the name of the function's module."""
    function: str
    text: str
    """Defines the test and calls it."""
    imports: tuple[str, ...]
    """Lines that it needs before it."""


def is_test_file(name: str) -> bool:
    """Whether a file holds tests, by its name."""
    path = PurePosixPath(name)
    return path.name.startswith("test_") or path.stem.endswith("_test") or path.name == "conftest.py"


def list_written_tests(tree: ast.Module, text: str) -> Iterator[WrittenTest]:
    """Yield the tests of a file that can stand alone."""
    modules = _find_modules(tree)
    imports = find_imports(tree)
    own = {name: line for name, line in imports.items() if name not in modules}
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or not node.name.startswith("test"):
            continue
        if node.decorator_list or ast.unparse(node.args):
            continue
        used = find_used_names(node) - list_bound_names(node) - KNOWN
        tested = used & modules.keys()
        needed = used - tested
        if len(tested) != 1 or needed - own.keys() or not all(map(_is_pythons, (own[one] for one in needed))):
            continue
        (function,) = tested
        source = ast.get_source_segment(text, node) or ast.unparse(node)
        yield WrittenTest(
            module=modules[function],
            function=function,
            text=f"{source}\n\n\n{node.name}()",
            imports=tuple(sorted(own[one] for one in needed)),
        )


def _find_modules(tree: ast.Module) -> dict[str, str]:
    """Return the module's last name for each name that is imported from one that is not Python's."""
    return {
        alias.name: (node.module or "").rpartition(".")[2]
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        and (node.level or (node.module or "").partition(".")[0] not in sys.stdlib_module_names)
        for alias in node.names
        if alias.asname is None
    }


def _is_pythons(line: str) -> bool:
    return line.split()[1].partition(".")[0] in sys.stdlib_module_names
