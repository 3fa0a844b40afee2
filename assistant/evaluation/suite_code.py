"""A folder of Python code into problems: its functions that have doctests or tests. Parsed, never imported.

Taken are functions of a module's top level that have a docstring and need nothing of the module but absolute
imports: what a model is shown is the signature and the docstring, and it could not know the rest. Hidden
folders, environments, caches and links are passed over.
"""

from __future__ import annotations

import ast
import doctest
import os
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from assistant.errors import UsageError
from assistant.evaluation.problems import COMPLETION_TASK, Problem
from assistant.evaluation.syntax import KNOWN, find_imports, find_used_names, list_bound_names
from assistant.evaluation.written_tests import WrittenTest, is_test_file, list_written_tests

MAX_BYTES = 1024 * 1024
_SKIPPED = frozenset({"__pycache__", "build", "dist", "env", "node_modules", "site-packages", "venv"})
_MARK = "pyvenv.cfg"
"""Stands in every virtual environment, whatever its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file that parses."""

    name: str
    """Its path within the folder."""
    lines: tuple[str, ...]
    tree: ast.Module

    @property
    def module(self) -> str:
        """The last part of the name by which it is imported."""
        path = PurePosixPath(self.name)
        return path.parent.name if path.stem == "__init__" else path.stem


def read_code(root: Path, name: str) -> list[Problem]:
    """Return a problem for each function with doctests or tests.

    Args:
        root: The folder, or one file.
        name: What the user calls it.

    Raises:
        UsageError: There is none.
    """
    files = list(_read_files(root))
    tests: dict[tuple[str, str], list[WrittenTest]] = defaultdict(list)
    for file in files:
        if is_test_file(file.name):
            for test in list_written_tests(file.tree, "\n".join(file.lines)):
                tests[test.module, test.function].append(test)
    problems = [
        problem
        for file in files
        if not is_test_file(file.name)
        for problem in _list_problems(file, dict(tests))
    ]
    if not problems:
        raise UsageError(
            f"{name} has no function with doctests or tests that needs nothing else of its file",
            hint='a doctest is a line ">>> f(1)" in a docstring and what it prints below it',
        )
    return problems


def _read_files(root: Path) -> Iterator[SourceFile]:
    for path in _walk(root):
        name = path.name if path == root else path.relative_to(root).as_posix()
        try:
            if path.stat().st_size > MAX_BYTES:
                continue
            text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(text)
        except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
            continue  # not Python, or not to be read: no problem comes of it
        yield SourceFile(name=name, lines=tuple(text.split("\n")), tree=tree)


def _walk(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for directory, folders, files in os.walk(root):
        here = Path(directory)
        folders[:] = sorted(
            folder
            for folder in folders
            if not folder.startswith(".") and folder not in _SKIPPED and not (here / folder / _MARK).exists()
        )
        yield from (
            here / file for file in sorted(files) if file.endswith(".py") and not (here / file).is_symlink()
        )


def _list_problems(file: SourceFile, tests: dict[tuple[str, str], list[WrittenTest]]) -> Iterator[Problem]:
    imports = find_imports(file.tree)
    last = {node.name: node for node in file.tree.body if isinstance(node, ast.FunctionDef)}
    for name, node in last.items():
        docstring = ast.get_docstring(node)
        if docstring is None or len(node.body) < 2 or node.decorator_list:
            continue
        has_examples = _has_examples(docstring)
        written = tests.get((file.module, name), [])
        if not has_examples and not written:
            continue
        trees = list(_trees_of_examples(docstring))
        used = find_used_names(node, *trees)
        if used - list_bound_names(node, *trees) - {name} - KNOWN - imports.keys():
            continue
        before = sorted({imports[one] for one in used & imports.keys()})
        head = "\n".join([*before, "", ""]) + "\n" if before else ""
        stub = head + "\n".join(file.lines[node.lineno - 1 : node.body[0].end_lineno])
        whole = "\n".join(file.lines[node.lineno - 1 : node.end_lineno])
        yield Problem(
            id=f"{file.name}:{name}",
            task=COMPLETION_TASK,
            input=stub,
            doctests=f"{stub}\n" if has_examples else "",
            tests=() if has_examples else tuple(test.text for test in written),
            setup=""
            if has_examples
            else "\n".join(sorted({one for test in written for one in test.imports})),
            entry_point=name,
            prompt=f"{stub}\n",
            solution=f"{head}{whole}\n",
        )


def _list_examples(docstring: str) -> list[doctest.Example]:
    try:
        return doctest.DocTestParser().get_examples(docstring)
    except ValueError:  # its lines are not indented as doctests are
        return []


def _has_examples(docstring: str) -> bool:
    return any(example.want for example in _list_examples(docstring))


def _trees_of_examples(docstring: str) -> Iterator[ast.Module]:
    for example in _list_examples(docstring):
        try:
            yield ast.parse(example.source)
        except (SyntaxError, ValueError):
            continue
