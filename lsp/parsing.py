"""Asks Python itself whether a text is a program, and why not. Runs nothing, and prints nothing."""

from __future__ import annotations

import ast
import re
import symtable
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from lsp.style import BYTE_ORDER_MARK

_FILE_NAME = "<edited document>"
_MAGIC = re.compile(r"^([ \t]*)[%!?]", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a text is no program."""

    message: str
    """As Python says it, such as `expected ':'`."""
    line: int
    """Counts from 1; 0 where it is not known."""

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


def parse_module(text: str, *, is_cell: bool = False) -> ast.Module | Fault:
    """Return the syntax tree of a program, or why it is none.

    Args:
        text: All of it.
        is_cell: Lines of a notebook's cell that begin with `%`, `!` or `?` are taken for statements.
    """
    if is_cell:
        text = _MAGIC.sub(r"\1pass #", text)
    _silence_warnings()
    try:
        return ast.parse(text.removeprefix(BYTE_ORDER_MARK), filename=_FILE_NAME)
    except SyntaxError as error:
        return Fault(message=str(error.msg), line=error.lineno or 0)
    except (RecursionError, MemoryError):
        return Fault(message="too deeply nested to be parsed", line=0)
    except ValueError as error:  # null characters, half surrogate pairs
        return Fault(message=str(error), line=0)


def find_fault(text: str, *, is_cell: bool = False) -> Fault | None:
    """Return why a text would not run, or None.

    Unlike the tree alone this finds a `return` outside of a function, a name that is declared twice, and what
    else Python notices only when it compiles.
    """
    tree = parse_module(text, is_cell=is_cell)
    if isinstance(tree, Fault):
        return tree
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if is_cell else 0
    try:
        compile(tree, _FILE_NAME, "exec", flags=flags, dont_inherit=True)
    except SyntaxError as error:
        return Fault(message=str(error.msg), line=error.lineno or 0)
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        return Fault(message=str(error) or "too deeply nested to be compiled", line=0)
    return None


def parses(text: str) -> bool:
    """Whether a text is a program."""
    return not isinstance(parse_module(text), Fault)


def find_free_names(code: str) -> set[str]:
    """The names that a program takes from elsewhere, builtins included. Empty for what is no program."""
    _silence_warnings()
    try:
        table = symtable.symtable(code, _FILE_NAME, "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    own = {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()
    }
    return {name for name in _global_names(table) if name not in own}


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    is_module = table.get_type() == "module"
    for symbol in table.get_symbols():
        if is_module or symbol.is_global():
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _global_names(inner)


def _silence_warnings() -> None:
    # A warning about the user's file is nothing to print, nor an error where warnings are errors. Only what
    # is parsed here is silenced: `catch_warnings` would change all of the process, on every thread.
    pattern = re.compile(re.escape(_FILE_NAME))
    if ("ignore", None, Warning, pattern, 0) not in warnings.filters:
        warnings.filterwarnings("ignore", module=re.escape(_FILE_NAME))
