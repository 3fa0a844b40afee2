"""Which names a function takes from around it, and how whoever has to write it is told.

What the function needs is either imported in the answer, or shown in the input as the file has it: a helper
by its signature, a constant by its value, a class by its head. Asks Python's symbol tables; runs nothing.
"""

from __future__ import annotations

import ast
import builtins
import symtable
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from finetune.examples import Reason
from finetune.mining.functions import FunctionNode, UnusableFunctionError, first_line_of
from finetune.mining.modules import Module

MAX_VALUE_CHARS = 200
MAX_INIT_LINES = 15
MAX_SHOWN = 12
"""Beyond so many helpers a function is part of its file and cannot be asked for alone."""
_BUILTINS = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__", "__class__", "__package__"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a function takes from its file."""

    imports: tuple[str, ...]
    """Lines that work anywhere the packages are installed."""
    shown: tuple[str, ...]
    """Definitions of the file, shortened, and imports from its own package."""


def find_free_names(text: str) -> set[str]:
    """Return the names that a piece of code uses and does not define.

    Raises:
        UnusableFunctionError: It is no program by itself.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = symtable.symtable(text, "function", "exec")
    except (SyntaxError, RecursionError, MemoryError, ValueError) as error:
        raise UnusableFunctionError(Reason.UNPARSABLE, str(error)) from error
    names = {one.get_name() for one in table.get_symbols() if one.is_referenced() and not one.is_assigned()}
    inner = list(table.get_children())
    while inner:
        child = inner.pop()
        inner += child.get_children()
        names |= {one.get_name() for one in child.get_symbols() if one.is_global() and one.is_referenced()}
    defined = {one.get_name() for one in table.get_symbols() if one.is_assigned() or one.is_imported()}
    return names - defined - _BUILTINS


def find_surroundings(module: Module, text: str, *, own: Iterable[str] = ()) -> Surroundings:
    """Say what a function needs of its module.

    Args:
        module: Its file.
        text: The function.
        own: Names that need not be said, as the answer or the question has them anyway.

    Raises:
        UnusableFunctionError: It uses a name that its file does not define.
    """
    imports: list[str] = []
    shown: list[str] = []
    for name in sorted(find_free_names(text) - set(own)):
        definition = module.definitions.get(name)
        if definition is None:
            where = "; a * import may bring it" if module.has_star_import else ""
            raise UnusableFunctionError(Reason.UNKNOWN_NAMES, f"its file does not define {name}{where}")
        if definition.import_line and not definition.is_local_import:
            imports.append(definition.import_line)
        else:
            shown.append(definition.import_line or shorten(module, definition.node))
    if len(shown) > MAX_SHOWN:
        raise UnusableFunctionError(Reason.UNKNOWN_NAMES, f"it uses {len(shown)} other parts of its file")
    return Surroundings(imports=tuple(sorted(imports)), shown=tuple(dict.fromkeys(shown)))


def shorten(module: Module, node: ast.stmt) -> str:
    """Return a definition's head: enough to use it."""
    if isinstance(node, FunctionNode):
        return _head(node)
    if isinstance(node, ast.ClassDef):
        return shorten_class(module, node)
    text = module.source_of(node)
    if len(text) <= MAX_VALUE_CHARS:
        return text
    names = [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]
    return f"{names[0]} = ..." if names else ""


def shorten_class(module: Module, node: ast.ClassDef, methods: Iterable[str] = ()) -> str:
    """Return a class with the heads of some of its methods; `__init__` always, in full where it is short."""
    bases = ", ".join(ast.unparse(one) for one in [*node.bases, *node.keywords])
    parts = [f"class {node.name}({bases}):" if bases else f"class {node.name}:"]
    summary = _summary(node)
    if summary:
        parts.append(f'    """{summary}"""')
    for inner in node.body:
        if isinstance(inner, FunctionNode) and inner.name in {"__init__", *methods}:
            is_short = inner.name == "__init__" and (inner.end_lineno or 0) - inner.lineno <= MAX_INIT_LINES
            lines = module.lines[first_line_of(inner) - 1 : inner.end_lineno]
            parts.append("\n".join(lines) if is_short else _indent(_head(inner)))
    return "\n".join(parts if len(parts) > 1 else [*parts, "    ..."])


def _head(node: FunctionNode) -> str:
    arguments = ast.unparse(node.args)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    keyword = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    summary = _summary(node)
    end = f'\n    """{summary}"""\n    ...' if summary else " ..."
    return f"{keyword} {node.name}({arguments}){returns}:{end}"


def _summary(node: FunctionNode | ast.ClassDef) -> str:
    line = (ast.get_docstring(node) or "").split("\n", 1)[0].strip()
    return "" if '"""' in line or "\\" in line else line


def _indent(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))
