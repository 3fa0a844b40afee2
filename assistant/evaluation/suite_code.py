"""A folder of Python code into problems: its functions that have doctests. Parsed, never imported.

Taken are functions of a module's top level that need nothing of it but absolute imports: what a model is
shown is the signature and the docstring, and it could not know the rest. Hidden folders, environments,
caches and links are passed over.
"""

from __future__ import annotations

import ast
import builtins
import doctest
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

from assistant.errors import UsageError
from assistant.evaluation.problems import COMPLETION_TASK, Problem

MAX_BYTES = 1024 * 1024
_SKIPPED = frozenset({"__pycache__", "build", "dist", "env", "node_modules", "site-packages", "venv"})
_MARK = "pyvenv.cfg"
"""Stands in every virtual environment, whatever its name."""
_KNOWN = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}


def read_code(root: Path, name: str) -> list[Problem]:
    """Return a problem for each function with doctests.

    Args:
        root: The folder, or one file.
        name: What the user calls it.

    Raises:
        UsageError: There is none.
    """
    problems: list[Problem] = []
    for path in _walk(root):
        file = path.name if path == root else path.relative_to(root).as_posix()
        tree, text = _parse(path)
        if tree is not None:
            problems += _list_problems(tree, text, file)
    if not problems:
        raise UsageError(
            f"{name} has no function with doctests that could be written without the rest of its file",
            hint='a doctest is a line ">>> f(1)" in a docstring and what it prints below it',
        )
    return problems


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


def _parse(path: Path) -> tuple[ast.Module | None, str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            return None, ""
        text = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text), text
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None, ""  # not Python, or not to be read: no problem comes of it


def _list_problems(tree: ast.Module, text: str, file: str) -> Iterator[Problem]:
    lines = text.split("\n")
    imports = _find_imports(tree)
    last = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name, node in last.items():
        docstring = ast.get_docstring(node)
        if docstring is None or len(node.body) < 2 or node.decorator_list or not _has_examples(docstring):
            continue
        used = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} | _names_in_examples(docstring)
        own = _names_bound_in(node) | _names_bound_in_examples(docstring) | {name}
        unknown = used - own - _KNOWN - imports.keys()
        if unknown:
            continue
        before = sorted({imports[one] for one in used & imports.keys()})
        head = "\n".join([*before, "", ""]) + "\n" if before else ""
        stub = "\n".join(lines[node.lineno - 1 : node.body[0].end_lineno])
        whole = "\n".join(lines[node.lineno - 1 : node.end_lineno])
        yield Problem(
            id=f"{file}:{name}",
            task=COMPLETION_TASK,
            input=head + stub,
            doctests=head + stub + "\n",
            entry_point=name,
            prompt=head + stub + "\n",
            solution=head + whole + "\n",
        )


def _find_imports(tree: ast.Module) -> dict[str, str]:
    """Return the line that imports each name of the file's head; none for what is relative."""
    found: dict[str, str] = {}
    for node in tree.body:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    found[alias.asname or alias.name.partition(".")[0]] = ast.unparse(
                        ast.Import(names=[alias])
                    )
            case ast.ImportFrom(module=str(module), names=names, level=0) if module != "__future__":
                for alias in names:
                    line = ast.unparse(ast.ImportFrom(module=module, names=[alias], level=0))
                    found[alias.asname or alias.name] = line
            case _:
                pass
    return found


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


def _names_in_examples(docstring: str) -> set[str]:
    return {
        node.id
        for tree in _trees_of_examples(docstring)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
    }


def _names_bound_in_examples(docstring: str) -> set[str]:
    return {name for tree in _trees_of_examples(docstring) for name in _names_bound_in(tree)}


def _names_bound_in(tree: ast.AST) -> set[str]:
    bound: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                bound.add(name)
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.alias(name=name, asname=asname):
                bound.add(asname or name.partition(".")[0])
            case _:
                pass
    return bound
