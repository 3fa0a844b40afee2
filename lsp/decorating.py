"""Decorators that an answer adds to a function: most of all the caches of the standard library."""

from __future__ import annotations

from collections.abc import Sequence

from lsp.borrowing import Needs, find_bound_before, find_needs
from lsp.edits import TextEdit
from lsp.extraction import Answer
from lsp.grafting import render_above
from lsp.outline import Definition, find_enclosing
from lsp.parsing import find_free_names
from lsp.positions import Span
from lsp.style import find_style, set_breaks

_TRUSTED = "from functools import "


def graft_decorators(
    definition: Definition, answered: Definition, answer: Answer, *, cells: Sequence[str] = ()
) -> tuple[list[TextEdit], list[str]]:
    """Build the edits that add an answer's new decorators, and say which ones are left out.

    One is taken where the file knows its name, or where it comes from `functools` and the function is at the
    top level: only there can its import stand within the function's own place.
    """
    tree, style = definition.tree, find_style(definition.tree.lines)
    outermost = find_enclosing(tree, definition.span)[0]
    known = find_bound_before(tree, outermost.span.start, cells)
    rows: list[str] = []
    imports: list[str] = []
    left_out: list[str] = []
    for text in _new_decorators(definition, answered):
        function = f"{text}\ndef _(): pass\n"
        needs = find_needs(answer, function, known)
        is_known = find_free_names(function) <= known
        is_borrowed = all(each.startswith(_TRUSTED) for each in needs.imports) and not needs.definitions
        if is_known or (needs.imports and is_borrowed and not definition.indent):
            rows.append(text)
            imports += needs.imports
        else:
            left_out.append(f"`{text}` was left out.")
    if not rows:
        return [], left_out
    above = render_above(Needs(imports=tuple(dict.fromkeys(imports))), style) if imports else ""
    start, keyword = definition.span.start, definition.node.start_byte
    marks = set_breaks("".join(f"{row}\n{definition.indent}" for row in rows), style)
    first = TextEdit(span=Span(start=start, end=start), text=above)
    return [first, TextEdit(span=Span(start=keyword, end=keyword), text=marks)], left_out


def _new_decorators(definition: Definition, answered: Definition) -> list[str]:
    nodes = [child for child in answered.outer.children if child.type == "decorator"]
    texts = [answered.tree.text_of(node) for node in nodes]
    pairs = zip(texts, answered.decorators, strict=True)
    return [text for text, name in pairs if name not in definition.decorators and "\n" not in text]
