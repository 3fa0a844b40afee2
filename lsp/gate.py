"""What an edit may not do: break a file that was whole, or change more than it was asked for."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

from lsp.parsing import Fault, find_fault, parse_module
from lsp.style import dedent, normalize_breaks

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def find_harm(before: str, after: str, *, is_cell: bool = False) -> str:
    """Say how an edit breaks a file; empty where it does not.

    A file that could be run must be one after. One that only parsed must still parse. Of one that did not
    parse nothing can be asked here: the new code must parse on its own.
    """
    if before == after:
        return ""
    whole = _find_fault_once(before, is_cell)
    if whole is None:
        fault = find_fault(after, is_cell=is_cell)
        return f"would break the file ({fault})" if fault else ""
    if isinstance(parse_module(before, is_cell=is_cell), Fault):
        return ""
    tree = parse_module(after, is_cell=is_cell)
    return f"would break the file ({tree})" if isinstance(tree, Fault) else ""


def adds_docstring_alone(before: str, after: str) -> bool:
    """Whether the definition that both texts hold differs in nothing but a docstring that it had not."""
    old, new = _parse_definition(before), _parse_definition(after)
    if old is None or new is None or ast.get_docstring(old) is not None or ast.get_docstring(new) is None:
        return False
    del new.body[0]
    return ast.dump(old) == ast.dump(new)


def adds_hints_alone(before: str, after: str) -> bool:
    """Whether the definition that both texts hold differs in nothing but type hints where it had none."""
    old, new = _parse_definition(before), _parse_definition(after)
    if old is None or new is None:
        return False
    pairs = list(zip(_functions(old), _functions(new), strict=False))
    for function, hinted in pairs:
        for slot, hinted_slot in zip(_slots(function), _slots(hinted), strict=False):
            if slot.annotation is None:
                hinted_slot.annotation = None
        if function.returns is None:
            hinted.returns = None
    return ast.dump(old) == ast.dump(new)


@functools.lru_cache(maxsize=2)  # the same file is asked about again for a retry, and when text has moved
def _find_fault_once(text: str, is_cell: bool) -> Fault | None:
    return find_fault(text, is_cell=is_cell)


def _parse_definition(text: str) -> Function | ast.ClassDef | None:
    tree = parse_module(dedent(normalize_breaks(text)))
    if isinstance(tree, Fault) or len(tree.body) != 1:
        return None
    only = tree.body[0]
    return only if isinstance(only, (*_FUNCTIONS, ast.ClassDef)) else None


def _functions(definition: Function | ast.ClassDef) -> Iterator[Function]:
    """The function itself, or a class's own."""
    if not isinstance(definition, ast.ClassDef):
        yield definition
        return
    yield from (member for member in definition.body if isinstance(member, _FUNCTIONS))


def _slots(function: Function) -> list[ast.arg]:
    given = function.args
    several = [given.vararg, given.kwarg]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *(each for each in several if each)]
