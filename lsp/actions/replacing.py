"""What an answer puts in the place of a region: a definition, statements, or a part of one."""

from __future__ import annotations

from lsp.actions.interface import View
from lsp.decorating import graft_decorators
from lsp.edits import TextEdit
from lsp.extraction import Answer, Useless
from lsp.grafting import find_answered, find_mismatch, graft_body, read_body
from lsp.outline import Definition, has_body
from lsp.regions import Region
from lsp.swapping import find_lost_definitions, swap_definition, swap_expression, swap_statements

Replacement = tuple[list[TextEdit], list[str]]
"""Edits, and what the user should know of them."""


def replace_body(view: View, definition: Definition, answer: Answer) -> Replacement | Useless:
    """Give a function the body of the answered one; its header stays, and so who calls it need not change."""
    answered = find_answered(answer, definition)
    if isinstance(answered, Useless):
        return answered
    mismatch = find_mismatch(definition, answered)
    body = read_body(answered)
    if mismatch:
        return Useless(reason=mismatch, code=answer.code)
    if not body or not has_body(answered):
        return Useless(reason=f"leaves `{definition.name}` without a body", code=answer.code)
    edits = graft_body(definition, body, answer, cells=view.cells_before)
    marks, notes = graft_decorators(definition, answered, answer, cells=view.cells_before)
    return _in_order([*edits, *marks]), notes


def replace_definition(
    view: View, definition: Definition, answer: Answer, *, keeps_parameters: bool = True
) -> Replacement | Useless:
    """Put the answered definition in the place of the file's, header included."""
    answered = find_answered(answer, definition)
    if isinstance(answered, Useless):
        return answered
    mismatch = find_mismatch(definition, answered) if definition.is_class or keeps_parameters else ""
    if mismatch:
        return Useless(reason=mismatch, code=answer.code)
    edits = swap_definition(definition, answered, answer, cells=view.cells_before)
    return edits if isinstance(edits, Useless) else (edits, [])


def replace_region(view: View, region: Region, answer: Answer) -> Replacement | Useless:
    """Put an answer in the place of statements or of a part of one."""
    tree = view.tree
    if region.is_expression:
        text = swap_expression(tree, region, answer)
        return text if isinstance(text, Useless) else ([TextEdit(span=region.span, text=text)], [])
    lost = find_lost_definitions(tree, region.span, answer.code)
    if lost:
        return Useless(reason=lost, code=answer.code)
    text = swap_statements(tree, region.span, answer, region.around)
    return text if isinstance(text, Useless) else ([TextEdit(span=region.span, text=text)], [])


def _in_order(edits: list[TextEdit]) -> list[TextEdit]:
    """By place. Where two insert at the same one, imports and helpers come before a decorator."""
    return sorted(edits, key=lambda edit: (edit.span.start, edit.span.end))
