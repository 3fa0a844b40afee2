"""Which code an action works on: what is selected, or the function around the cursor."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lsp.outline import Definition, find_enclosing
from lsp.parsing import Fault, parse_module
from lsp.positions import Lines, Span
from lsp.syntax import SyntaxTree

if TYPE_CHECKING:
    from tree_sitter import Node

_BLANK = " \t\f\r\n\ufeff"
_BODIES = ("block", "module")
_TOO_SMALL = (ast.Name, ast.Attribute, ast.Constant)
"""A double click on a word selects it; nobody wants that word alone rewritten."""
MAX_EXPRESSION_CHARS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """Code that can be taken out and replaced."""

    span: Span
    definition: Definition | None = None
    """The function or class that the span is."""
    around: Definition | None = None
    """The innermost function or class that the span is in, or is."""
    is_expression: bool = False
    """It is a part of a statement."""


def find_region(tree: SyntaxTree, selection: Span) -> Region | None:
    """Return the code to work on, or None where there is none.

    A selection is taken exactly where it is an expression or whole statements, and widened to whole
    statements where it is not. A cursor stands for the function around it.
    """
    span = trim(tree.lines, selection)
    if is_cursor(tree.lines, selection) or span.is_empty:
        return find_function_region(tree, selection.start)
    around = find_enclosing(tree, span)
    innermost = around[-1] if around else None
    if innermost is not None and _is_header(innermost, span):
        return _of_definition(innermost)
    expression = _read_expression(tree, span)
    if expression is not None:
        if isinstance(expression, _TOO_SMALL):
            return find_function_region(tree, span.start)
        return Region(span=span, around=innermost, is_expression=True)
    whole = find_statements(tree, span) or tree.lines.whole_lines(span)
    inner = next((each for each in reversed(find_enclosing(tree, whole)) if each.span == whole), None)
    return _of_definition(inner) if inner else Region(span=trim(tree.lines, whole), around=innermost)


def find_function_region(tree: SyntaxTree, offset: int) -> Region | None:
    """Return the innermost function around a place."""
    functions = [each for each in find_enclosing(tree, probe(tree.lines, offset)) if not each.is_class]
    return _of_definition(functions[-1]) if functions else None


def find_definition(tree: SyntaxTree, selection: Span) -> Definition | None:
    """Return the function or class that is selected, or that the cursor is in."""
    lines = tree.lines
    span = probe(lines, selection.start) if is_cursor(lines, selection) else trim(lines, selection)
    return next(reversed(find_enclosing(tree, span)), None)


def find_statements(tree: SyntaxTree, span: Span) -> Span | None:
    """Return the fewest whole statements beside each other, on lines of their own, that cover a span."""
    node: Node | None = tree.root.descendant_for_byte_range(span.start, span.end)
    while node is not None:
        while node is not None and node.type not in _BODIES:
            node = node.parent
        if node is None:
            return None
        touched = [
            each for each in node.named_children if each.end_byte > span.start and each.start_byte < span.end
        ]
        if touched:
            found = Span(start=touched[0].start_byte, end=touched[-1].end_byte)
            if found.covers(span) and stands_alone(tree.lines, found):
                return found
        node = node.parent
    return None


def is_cursor(lines: Lines, selection: Span) -> bool:
    """Whether nothing is selected: some editors send the one character that their cursor is on."""
    return selection.end - selection.start <= 1 or not selection.cut(lines.text).strip(_BLANK)


def trim(lines: Lines, span: Span) -> Span:
    """Leave blank characters at both ends of a span away."""
    text = span.cut(lines.text)
    start = span.start + len(text) - len(text.lstrip(_BLANK))
    return Span(start=start, end=max(span.end - len(text) + len(text.rstrip(_BLANK)), start))


def probe(lines: Lines, offset: int) -> Span:
    """The character of a line that tells best what a cursor on it is in."""
    content = lines.content(lines.line_at(min(offset, len(lines.text))))
    text = trim(lines, content)
    if text.is_empty:
        return Span(start=offset, end=offset)
    at = min(max(offset, text.start), text.end - 1)
    return Span(start=at, end=at + 1)


def stands_alone(lines: Lines, span: Span) -> bool:
    """Whether nothing but blanks and a comment stands beside a span on its lines."""
    start = lines.starts[lines.line_at(span.start)]
    after = lines.text[span.end : lines.content(lines.line_at(max(span.end - 1, span.start))).end].strip(
        _BLANK
    )
    return not lines.text[start : span.start].strip(_BLANK) and (not after or after.startswith("#"))


def _of_definition(definition: Definition) -> Region:
    return Region(span=definition.span, definition=definition, around=definition)


def _is_header(definition: Definition, span: Span) -> bool:
    header = definition.header
    return header is not None and header.covers(span)


def _read_expression(tree: SyntaxTree, span: Span) -> ast.expr | None:
    """The expression that a part of a statement is; None for whole statements and for what is none."""
    text = span.cut(tree.lines.text)
    if len(text) > MAX_EXPRESSION_CHARS:
        return None
    statement = find_statements(tree, span)
    if statement is None or statement == span:
        return None
    node = tree.root.descendant_for_byte_range(span.start, span.end)
    if node is None or node.start_byte != span.start or node.end_byte != span.end:
        return None  # a part of a string, or the end of one operand and the start of the next
    module = parse_module(f"({text}\n)")
    if isinstance(module, Fault) or len(module.body) != 1 or not isinstance(module.body[0], ast.Expr):
        return None
    return module.body[0].value
