"""Type hints: taken from an answered function one by one, each put beside its parameter in the file."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence

from lsp.borrowing import find_bound_before
from lsp.edits import TextEdit
from lsp.outline import Definition, Parameter, find_enclosing
from lsp.parsing import Fault, find_free_names, parse_module
from lsp.positions import Span


def find_hints(definition: Definition, answered: Definition, cells: Sequence[str] = ()) -> list[TextEdit]:
    """Build the edits that give a function, or each function of a class, the hints that it lacks.

    A hint with a name that the file does not know by then is quoted, for Python would look it up.

    Args:
        definition: In the file.
        answered: The same in the answer.
        cells: The notebook's earlier cells.
    """
    tree = definition.tree
    outermost = find_enclosing(tree, definition.span)[0]
    is_lazy = any(
        node.type == "future_import_statement" and "annotations" in tree.text_of(node)
        for node in tree.whole.root.named_children
    )
    known = None if is_lazy else find_bound_before(tree, outermost.span.start, cells)
    if not definition.is_class:
        return list(_hint(definition, answered, known))
    others = {member.name: member for member in answered.members() if not member.is_class}
    return [
        edit
        for member in definition.members()
        if not member.is_class and member.name in others
        for edit in _hint(member, others[member.name], known)
    ]


def _hint(definition: Definition, answered: Definition, known: set[str] | None) -> Iterator[TextEdit]:
    hints = {parameter.name: parameter for parameter in answered.hintable}
    for parameter in definition.hintable:
        hinted = hints.get(parameter.name)
        if hinted is None or parameter.annotation or hinted.stars != parameter.stars:
            continue
        hint = _render_hint(hinted.annotation, known)
        if hint:
            yield _hint_parameter(parameter, hint)
    result = answered.result
    header, parameters = definition.header, definition.node.child_by_field_name("parameters")
    if definition.result is None and result is not None and header is not None and parameters is not None:
        hint = _render_hint(answered.tree.text_of(result), known)
        if hint:
            at = parameters.end_byte
            yield TextEdit(span=Span(start=at, end=at), text=f" -> {hint}")


def _hint_parameter(parameter: Parameter, hint: str) -> TextEdit:
    """A default is set off by spaces where there is a hint, as PEP 8 has it."""
    start = end = parameter.name_end
    text = f": {hint}"
    if parameter.default is not None:
        between = parameter.node.children[1]  # the equals sign: it stands alone between name and default
        if parameter.default.start_byte - start == between.end_byte - between.start_byte:
            end, text = parameter.default.start_byte, f": {hint} = "
    return TextEdit(span=Span(start=start, end=end), text=text)


def _render_hint(annotation: str, known: set[str] | None) -> str:
    """A hint on one line, quoted where it has to be; empty where it is none."""
    hint = " ".join(annotation.split())
    module = parse_module(f"_: {hint}")
    if isinstance(module, Fault) or "#" in hint or not all(map(_is_hint, ast.walk(module))):
        return ""
    if known is None or find_free_names(hint) <= known:
        return hint
    plain = hint.replace('"', "'")
    return f'"{plain}"' if "\\" not in plain else ""


def _is_hint(node: ast.AST) -> bool:
    """Whether a part of a hint may be one: `any` is wrong, and `int[str]` even stops the program."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        of = getattr(builtins, node.value.id, None)
        return of is None or hasattr(of, "__class_getitem__")
    if isinstance(node, ast.Name):
        return isinstance(getattr(builtins, node.id, type), type)
    return True
