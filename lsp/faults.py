"""Syntax errors of a document, found piece by piece: a menu has no time for all of it."""

from __future__ import annotations

import re

from lsp.parsing import Fault, parse_module
from lsp.positions import Lines, Span
from lsp.style import dedent, leading_space, normalize_breaks
from lsp.syntax import SyntaxTree

MAX_CHUNK_LINES = 400
_HEADER = re.compile(r"(?:async[ \t]+def|def|class)\b|@")
_CLOSER = re.compile(r"[)\]}]")


def find_chunk(lines: Lines, line: int) -> Span:
    """Return the function, class or paragraph that a line is in, going by indentation alone.

    An unclosed bracket makes every tree unsure of what follows; its author is not.
    """
    first = _find_header(lines, line)
    if first is None:
        return _find_paragraph(lines, line)
    indent = leading_space(lines.line_text(first))
    while first > 0 and _is_decorator(lines.line_text(first - 1), indent):
        first -= 1
    last = number = max(first, line)
    has_body = number > first
    while number + 1 < len(lines.starts) and number - first < MAX_CHUNK_LINES:
        number += 1
        text = lines.line_text(number)
        if not text.strip():
            continue
        is_outside = len(leading_space(text)) <= len(indent) and not _CLOSER.match(text.strip())
        if is_outside and (has_body or _HEADER.match(text.strip())):
            break
        has_body = has_body or len(leading_space(text)) > len(indent)
        last = number
    return Span(start=lines.starts[first] + len(indent), end=lines.content(last).end)


def find_syntax_fault(tree: SyntaxTree, line: int) -> tuple[Span, str] | None:
    """Return the syntax error of the piece of code that a line is in: its line, and what Python says."""
    lines = tree.lines
    if not tree.root.has_error and not _is_of_python_2(tree, lines.content(line)):
        return None
    chunk = find_chunk(lines, line)
    first = lines.line_at(chunk.start)
    if lines.line_at(chunk.end) - first > MAX_CHUNK_LINES:
        return None
    text = dedent(normalize_breaks(lines.text[lines.starts[first] : chunk.end]))
    fault = parse_module(f"{text}\n", is_cell=tree.is_cell)
    if not isinstance(fault, Fault):
        return None
    number = min(first + max(fault.line - 1, 0), lines.line_at(chunk.end))
    return lines.content(number), fault.message


def _is_of_python_2(tree: SyntaxTree, content: Span) -> bool:
    """Whether a line is a statement that the grammar still takes and Python does not."""
    start = content.start + len(leading_space(content.cut(tree.lines.text)))
    node = tree.root.descendant_for_byte_range(start, start + 1)
    while node is not None and node.start_byte == start:
        if node.type in ("print_statement", "exec_statement"):
            return True
        node = node.parent
    return False


def _find_header(lines: Lines, line: int) -> int | None:
    """The line of the innermost header that a line is under, or is."""
    text = lines.line_text(line)
    if _HEADER.match(text.lstrip()):
        return line
    limit = len(leading_space(text)) if text.strip() else None
    for number in range(line - 1, max(line - MAX_CHUNK_LINES, -1), -1):
        above = lines.line_text(number)
        if not above.strip():
            continue
        indent = len(leading_space(above))
        is_outer = limit is None or indent < limit
        if is_outer and _HEADER.match(above.lstrip()) and not above.lstrip().startswith("@"):
            return number
        limit = indent if limit is None else min(limit, indent)
        if limit == 0:
            return None
    return None


def _find_paragraph(lines: Lines, line: int) -> Span:
    first = last = line
    while first > 0 and lines.line_text(first - 1).strip() and line - first < MAX_CHUNK_LINES:
        first -= 1
    while (
        last + 1 < len(lines.starts) and lines.line_text(last + 1).strip() and last - line < MAX_CHUNK_LINES
    ):
        last += 1
    start = lines.starts[first]
    return Span(start=start + len(leading_space(lines.line_text(first))), end=lines.content(last).end)


def _is_decorator(text: str, indent: str) -> bool:
    return text.startswith(f"{indent}@")
