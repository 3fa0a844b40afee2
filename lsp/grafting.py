"""Puts the body of an answered function into the function of the file, in the file's own style.

The file's decorators, header and docstring stay as they are. What the body needs of the rest of the answer,
imports and helpers, comes along within the function's own place.
"""

from __future__ import annotations

from collections.abc import Sequence

from lsp.borrowing import Needs, find_known, find_names, find_needs
from lsp.edits import TextEdit
from lsp.extraction import Answer, Useless
from lsp.outline import Definition, build_definition, find_definitions, find_enclosing, find_stub
from lsp.positions import Span
from lsp.style import Style, dedent, find_style, leading_space, restyle, set_breaks
from lsp.syntax import SyntaxTree

_BODY_MARKS = {"return_statement", "yield", "raise_statement"}


def find_answered(answer: Answer, definition: Definition) -> Definition | Useless:
    """Find the definition of an answer that is meant for one of the file.

    It has the same name, and stands at the top level or in a class. Of several the last is taken, which is
    the one that a model ends with; but not the half of one where the answer was cut off.
    """
    kind = "class" if definition.is_class else "function"
    candidates = [
        each
        for each in _all_definitions(answer.tree, definition.owner)
        if each.name == definition.name and each.is_class == definition.is_class
    ]
    if not candidates:
        return Useless(reason=f"does not define the {kind} `{definition.name}`", code=answer.code)
    if answer.is_cut and candidates[-1].span.end >= len(answer.code.rstrip()):
        candidates.pop()
    if not candidates:
        return Useless(reason="was cut off before its end", code=answer.code)
    return candidates[-1]


def find_mismatch(definition: Definition, answered: Definition) -> str:
    """Say why an answered function cannot take the place of the file's; empty where it can.

    Whoever calls the function must still be able to: the parameters have the same names, in the same order.
    """
    if definition.is_class:
        return _find_lost_members(definition, answered)
    old = [parameter.stars + parameter.name for parameter in definition.parameters]
    new = [parameter.stars + parameter.name for parameter in answered.parameters]
    if old != new:
        return f"gives `{definition.name}` the parameters ({', '.join(new)}) instead of ({', '.join(old)})"
    if _is_async(definition) != _is_async(answered):
        return f"makes `{definition.name}` {'' if _is_async(answered) else 'not '}async"
    return ""


def read_body(answered: Definition) -> str:
    """The code of a function's body, comments included, docstring left out; empty where nothing is left."""
    header, docstring = answered.header, answered.docstring
    code = answered.tree.lines.text
    if header is None or not answered.working_statements:
        return ""
    start = docstring.end_byte if docstring is not None else header.end
    beside, _, below = code[start : answered.node.end_byte].partition("\n")
    beside = beside.strip().removeprefix(";").strip()
    body = dedent(below)
    return (f"{beside}\n{body}" if beside else body).strip("\n")


def read_bare_body(answer: Answer) -> str:
    """The answer itself where it is a body without its `def`; empty where it is none."""
    top = answer.tree.root.named_children
    if any(build_definition(answer.tree, node) is not None for node in top):
        return ""
    is_body = any(
        node.type in _BODY_MARKS or answer.tree.text_of(node).startswith(("self.", "yield")) for node in top
    )
    return answer.code.strip("\n") if is_body else ""


def graft_body(
    definition: Definition, body: str, answer: Answer, *, cells: Sequence[str] = ()
) -> list[TextEdit]:
    """Build the edits that give a function of the file another body.

    Args:
        definition: The function, in the file.
        body: Parses inside a function. Its lines end with a line feed and share no indentation.
        answer: What the body was taken from.
        cells: The notebook's earlier cells.
    """
    style = find_style(definition.tree.lines)
    needs = find_needs(
        answer, f"def _():\n{restyle(body, indent='    ', unit='    ')}\n", find_known_to(definition, cells)
    )
    is_outermost = not definition.indent and len(find_enclosing(definition.tree, definition.span)) == 1
    above = ""
    if needs.definitions and is_outermost:
        above = render_above(needs, style)
    elif not needs.is_empty:
        body = "\n".join([*needs.imports, *(f"\n{text}\n" for text in needs.definitions), body])
    inner = find_inner_indent(definition, style)
    region, lead = _find_region(definition, inner, style)
    placed = restyle(body.strip("\n"), indent=inner, unit=style.unit)
    edit = TextEdit(span=region, text=lead + set_breaks(placed, style).removeprefix("" if lead else inner))
    if above:
        at = definition.span.start
        return [TextEdit(span=Span(start=at, end=at), text=above), edit]
    return [edit]


def find_place(definition: Definition) -> Span:
    """All of a function's place, comments that stand where its body is missing included."""
    stub = find_stub(definition)
    end = definition.span.end if stub is None or not stub.is_empty else _after_comments(definition, stub.end)
    return Span(start=definition.span.start, end=max(end, definition.span.end))


def render_above(needs: Needs, style: Style) -> str:
    """What is put before a definition at the top level: the imports and helpers that it needs."""
    parts = ["\n".join(needs.imports), *needs.definitions]
    text = "\n\n\n".join(restyle(part, indent="", unit=style.unit) for part in parts if part)
    return set_breaks(f"{text}\n\n\n", style)


def _find_region(definition: Definition, inner: str, style: Style) -> tuple[Span, str]:
    """What a new body replaces, and what has to come before it there."""
    lines, header, docstring = definition.tree.lines, definition.header, definition.docstring
    assert header is not None
    stub = find_stub(definition)
    body_end = max(header.end, definition.node.end_byte)
    if docstring is not None and lines.line_at(docstring.start_byte) == lines.line_at(header.end - 1):
        moved = f"{style.line_end}{inner}{definition.tree.text_of(docstring)}{style.line_end}"
        return Span(start=header.end, end=body_end), moved
    rest = definition.working_statements
    if not rest:
        at = _after_comments(definition, docstring.end_byte if docstring is not None else header.end)
        return Span(start=at, end=at), style.line_end
    first, last = rest[0].start_byte, rest[-1].end_byte
    if lines.line_at(first) == lines.line_at(header.end - 1):
        return Span(start=header.end, end=last), style.line_end
    if stub is not None:
        return Span(start=stub.start, end=stub.end), ""
    return Span(start=_after_header(definition, first), end=body_end), style.line_end


def _after_header(definition: Definition, first: int) -> int:
    """Where a body begins: after the docstring's line or the header's, or with its first statement."""
    header, docstring = definition.header, definition.docstring
    assert header is not None
    end = docstring.end_byte if docstring is not None else header.end
    lines = definition.tree.lines
    return min(lines.content(lines.line_at(end - 1)).end, first)


def _after_comments(definition: Definition, at: int) -> int:
    """The end of the comments that follow a header or docstring and are indented like a body."""
    lines = definition.tree.lines
    number = lines.line_at(at - 1)
    end = lines.content(number).end
    while number + 1 < len(lines.starts):
        number += 1
        text = lines.line_text(number)
        if not text.strip():
            continue
        if not text.lstrip().startswith("#") or len(leading_space(text)) <= len(definition.indent):
            break
        end = lines.content(number).end
    return end


def find_inner_indent(definition: Definition, style: Style) -> str:
    """The indentation of a function's body: what it has, or one step more than its header."""
    lines, header = definition.tree.lines, definition.header
    assert header is not None
    for statement in definition.statements:
        number = lines.line_at(statement.start_byte)
        if number > lines.line_at(header.end - 1):
            return leading_space(lines.line_text(number))
    return definition.indent + style.unit


def find_known_to(definition: Definition, cells: Sequence[str]) -> set[str]:
    """Names that a function can use: those of its file, its own, and those of functions around it."""
    known = find_known(definition.tree, cells) | {definition.name}
    known |= {parameter.name for parameter in definition.parameters}
    for around in find_enclosing(definition.tree, definition.span)[:-1]:
        if not around.is_class:
            known |= {parameter.name for parameter in around.parameters}
            known |= {
                name for node in around.statements for name in find_names(definition.tree.text_of(node))
            }
    return known


def _all_definitions(tree: SyntaxTree, owner: Definition | None) -> list[Definition]:
    top = find_definitions(tree)
    inner = [member for each in top if each.is_class for member in each.members()]
    if owner is not None:
        own = [each for each in inner if each.owner is not None and each.owner.name == owner.name]
        return own or [*inner, *top]
    return top or inner


def _find_lost_members(definition: Definition, answered: Definition) -> str:
    kept = {member.name for member in answered.members()}
    lost = [member.name for member in definition.members() if member.name not in kept]
    return f"leaves out `{lost[0]}` of the class `{definition.name}`" if lost else ""


def _is_async(definition: Definition) -> bool:
    return any(child.type == "async" for child in definition.node.children)
