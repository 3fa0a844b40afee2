"""Puts answered code in the place of the file's: a definition, statements, or a part of one statement."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lsp.borrowing import find_needs
from lsp.edits import TextEdit, count_repeated_lines
from lsp.extraction import Answer, Useless
from lsp.grafting import find_known_to, read_body, render_above
from lsp.outline import Definition, find_definitions, find_enclosing
from lsp.parsing import parses
from lsp.positions import Lines, Span
from lsp.regions import Region
from lsp.style import cut_code, find_style, leading_space, restyle, set_breaks
from lsp.syntax import SyntaxTree, span_of

_DEFINED = re.compile(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)
_CONTEXT_LINES = 200
"""So many lines before and after are compared with what an answer repeats."""


def swap_definition(
    definition: Definition, answered: Definition, answer: Answer, *, cells: Sequence[str] = ()
) -> list[TextEdit] | Useless:
    """Build the edits that put an answered definition in the place of the file's.

    Decorators and docstring of the file stay where the answer has none.
    """
    style = find_style(definition.tree.lines)
    outer = answered.outer
    code = cut_code(answered.tree.lines, span_of(outer))
    if not answered.is_class and answered.docstring is None and definition.docstring is not None:
        code = _with_docstring(answered, definition)
        outer = answered.node
    needs = find_needs(answer, code, find_known_to(definition, cells))
    is_outermost = not definition.indent and len(find_enclosing(definition.tree, definition.span)) == 1
    keeps_decorators = outer == answered.node and definition.outer != definition.node
    span = span_of(definition.node) if keeps_decorators else definition.span
    placed = restyle(code.strip("\n"), indent=definition.indent, unit=style.unit)
    text = set_breaks(placed, style).removeprefix(definition.indent)
    if needs.is_empty:
        return [TextEdit(span=span, text=text)]
    if not is_outermost:
        first = (*needs.imports, *needs.definitions)[0].split("\n")[0]
        return Useless(reason=f"needs `{first}` outside of `{definition.name}`", code=answer.code)
    above = render_above(needs, style)
    if not keeps_decorators:
        return [TextEdit(span=span, text=above + text)]
    start = Span(start=definition.span.start, end=definition.span.start)
    return [TextEdit(span=start, text=above), TextEdit(span=span, text=text)]


def swap_statements(
    tree: SyntaxTree, span: Span, answer: Answer, around: Definition | None, *, keeps: bool = False
) -> str | Useless:
    """Return what an answer puts in the place of statements, or of nothing, in the file's style.

    What the answer repeats of the lines before and after is left away, and so is the function around it.

    Args:
        tree: Of the document.
        span: What is replaced; it begins after the indentation of its line.
        answer: The new code.
        around: The function or class that the span is in.
        keeps: What the span holds stays, and the new code comes after it.
    """
    lines = tree.lines
    style = find_style(lines)
    first = lines.line_at(span.start)
    indent = leading_space(lines.line_text(first))
    before, after = _neighbours(lines, span, keeps=keeps)
    whole, function = _unwrap(answer, around)
    code = trim_repeated(whole, before, after)
    if function is not None and code == whole and _has_more(function, span):
        return Useless(reason=f"rewrites all of `{function.name}`", code=answer.code)
    return set_breaks(restyle(code, indent=indent, unit=style.unit), style).removeprefix(indent)


def swap_expression(tree: SyntaxTree, region: Region, answer: Answer) -> str | Useless:
    """Return the expression of an answer that goes in the place of the file's.

    An answer may hold the statement that the expression is in: then what that has more is left away.
    """
    code = answer.code.strip()
    lines = tree.lines
    whole = lines.content(lines.line_at(region.span.start))
    lead = lines.text[whole.start : region.span.start].strip()
    tail = lines.text[region.span.end : max(whole.end, region.span.end)].strip()
    if lead and code.startswith(lead) and code.endswith(tail):
        code = code[len(lead) : len(code) - len(tail)].strip()
    found = [each for each in SyntaxTree(Lines(code)).root.named_children if each.type != "comment"]
    is_one = len(found) == 1 and found[0].type == "expression_statement" and found[0].named_child_count == 1
    code = code[found[0].start_byte : found[0].end_byte] if is_one else code
    if not is_one or not parses(f"({code})") or "\n" in code:
        return Useless(reason="is no expression on one line, which is what was selected", code=answer.code)
    return code


def find_lost_definitions(tree: SyntaxTree, span: Span, code: str) -> str:
    """Say which function or class of the replaced statements new code leaves out; empty where none."""
    kept = set(_DEFINED.findall(code))
    lost = [name for name in _DEFINED.findall(cut_code(tree.lines, span)) if name not in kept]
    return f"leaves out `{lost[0]}`" if lost else ""


def trim_repeated(code: str, before: Sequence[str], after: Sequence[str]) -> str:
    """Leave away what code repeats of the lines around it, as far as what is left still parses."""
    rows = code.strip("\n").split("\n")
    head, tail = count_repeated_lines(rows, list(before), list(after))
    for first, last in ((head, tail), (head, 0), (0, tail)):
        rest = "\n".join(rows[first : len(rows) - last]).strip("\n")
        if (first or last) and rest.strip() and parses(rest):
            return rest
    return "\n".join(rows)


def _unwrap(answer: Answer, around: Definition | None) -> tuple[str, Definition | None]:
    """Take the body out of the function around the place, where an answer repeats that function."""
    top = find_definitions(answer.tree)
    inner = [*top, *(member for each in top if each.is_class for member in each.members())]
    if around is not None and not around.is_class:
        same = [each for each in inner if each.name == around.name and not each.is_class]
        body = read_body(same[-1]) if same else ""
        if body:
            return body, around
    return answer.code, None


def _has_more(function: Definition, span: Span) -> bool:
    """Whether a function has statements outside of a span."""
    return any(node != function.docstring and not span.covers(span_of(node)) for node in function.statements)


def _neighbours(lines: Lines, span: Span, *, keeps: bool) -> tuple[list[str], list[str]]:
    first, last = lines.line_at(span.start), lines.line_at(max(span.end - 1, span.start))
    until = min(last + 1 + _CONTEXT_LINES, len(lines.starts))
    above = range(max(first - _CONTEXT_LINES, 0), last + 1 if keeps else first)
    return [lines.line_text(n) for n in above], [lines.line_text(n) for n in range(last + 1, until)]


def _with_docstring(answered: Definition, definition: Definition) -> str:
    header, docstring = answered.header, definition.docstring
    assert header is not None
    assert docstring is not None
    kept = cut_code(definition.tree.lines, span_of(docstring)).strip("\n")
    inner = "\n".join(
        restyle(part, indent="    ", unit="    ") for part in (kept, read_body(answered)) if part
    )
    return f"{header.cut(answered.tree.lines.text)}\n{inner}"
