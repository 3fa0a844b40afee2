"""Finds doctest examples in a text. Runs none."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from assistant.judging.examples import ELLIPSIS, IGNORE_DETAIL, NORMALIZE_WHITESPACE, SKIP


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One statement and what it shows."""

    line: int
    """From 1, in the text."""
    source: str
    call: str
    """What runs it in the tests' process."""


def find_examples(text: str, tree: ast.Module | None) -> list[Example]:
    """Return the examples of a module's docstrings, or of a text that is no Python and has no tree."""
    if ">>>" not in text:
        return []
    if tree is None:
        return list(_read_examples(text, 1))
    return [example for line, docstring in _docstrings(tree) for example in _read_examples(docstring, line)]


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            value = first.value.value
            if isinstance(value, str):
                yield first.lineno, value


def _read_examples(text: str, line: int) -> Iterator[Example]:
    import doctest  # it brings pdb and unittest along

    flags = {
        doctest.ELLIPSIS: ELLIPSIS,
        doctest.NORMALIZE_WHITESPACE: NORMALIZE_WHITESPACE,
        doctest.IGNORE_EXCEPTION_DETAIL: IGNORE_DETAIL,
        doctest.SKIP: SKIP,
    }
    try:
        found = doctest.DocTestParser().get_examples(text)
    except ValueError:  # no doctests: prose that quotes a prompt
        return
    for example in found:
        wanted = sum(ours for theirs, ours in flags.items() if example.options.get(theirs))
        if wanted & SKIP:
            continue
        parts = (example.source, example.want, example.exc_msg, wanted)
        call = f"__example__({', '.join(map(repr, parts))})"
        yield Example(line=line + example.lineno, source=example.source.strip(), call=call)
