"""Docstrings: taken from an answer as they are written there, and put where they belong in the file."""

from __future__ import annotations

import re

from lsp.edits import TextEdit
from lsp.extraction import Answer, Useless
from lsp.grafting import find_answered, find_inner_indent
from lsp.outline import Definition, is_string_statement
from lsp.parsing import parses
from lsp.positions import Lines, Span
from lsp.style import find_style, set_breaks, shared_indent
from lsp.syntax import SyntaxTree

_LITERAL = re.compile(r"([rRuU]?)(\"\"\"|'''|\"|')(.*)\2", re.DOTALL)


def find_docstring(answer: Answer, definition: Definition) -> str | Useless:
    """Return the literal that documents a definition in an answer, or that is all of the answer."""
    answered = find_answered(answer, definition)
    if isinstance(answered, Useless):
        only = answer.tree.root.named_children
        if len(only) != 1 or not is_string_statement(only[0]):
            return answered
        return answer.tree.text_of(only[0])
    if answered.docstring is None:
        return Useless(reason=f"has no docstring for `{definition.name}`", code=answer.code)
    return answer.tree.text_of(answered.docstring)


def place_docstring(definition: Definition, literal: str) -> TextEdit | Useless:
    """Build the edit that gives a definition without a docstring one.

    Args:
        definition: With a header and a body.
        literal: A string of Python, with its quotes.
    """
    style = find_style(definition.tree.lines)
    inner = find_inner_indent(definition, style)
    rendered = render_docstring(literal, inner)
    if not rendered:
        return Useless(reason="has a docstring that is no plain string", code=literal)
    lines, header, first = definition.tree.lines, definition.header, definition.statements[0]
    assert header is not None
    number = lines.line_at(header.end - 1)
    block = f"\n{inner}{rendered}"
    if lines.line_at(first.start_byte) == number:
        between = Span(start=header.end, end=first.start_byte)
        return TextEdit(span=between, text=set_breaks(f"{block}\n{inner}", style))
    at = lines.content(number).end
    return TextEdit(span=Span(start=at, end=at), text=set_breaks(block, style))


def render_docstring(literal: str, indent: str) -> str:
    r"""Return a docstring as it stands in a body: three double quotes, its lines indented.

    What is written between the quotes stays as it is, escapes included. Empty where the literal is not one
    plain string, or holds nothing.

    Args:
        literal: A string of Python, with its quotes. Its lines end with `\n`.
        indent: Of the body.
    """
    match = _LITERAL.fullmatch(literal)
    if match is None or not _is_one_string(literal):
        return ""
    prefix, quotes, content = str(match[1]), str(match[2]), str(match[3])
    first, *rest = content.split("\n")
    shared = shared_indent(rest)
    lines = [first.strip(), *(_strip_end(line.removeprefix(shared)) for line in rest)]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        return ""
    quotes = quotes if '"""' in content or (len(quotes) == 1 and '"' in content) else '"""'
    text = f"\n{indent}".join(lines).replace(f"\n{indent}\n", "\n\n")
    text = "\n".join(line if line.strip() else "" for line in text.split("\n"))
    closes_badly = text.endswith(("\\", quotes[0]))
    is_broken = len(quotes) == 3 and (len(lines) > 1 or closes_badly)
    rendered = f"{prefix}{quotes}{text}" + (f"\n{indent}" if is_broken else "") + quotes
    return rendered if parses(rendered) else ""


def _is_one_string(literal: str) -> bool:
    """Whether a literal is one, and not several side by side."""
    statements = SyntaxTree(Lines(literal)).root.named_children
    return len(statements) == 1 and is_string_statement(statements[0])


def _strip_end(line: str) -> str:
    stripped = line.rstrip(" \t")
    return line if stripped.endswith("\\") else stripped
