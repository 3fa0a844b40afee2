"""The last result of each document, for "Insert last result" and "Try again". Knows no protocol."""

from __future__ import annotations

from dataclasses import dataclass

from lsp.actions.interface import Edits, FileEdit, Offer, View
from lsp.edits import TextEdit
from lsp.positions import Lines, Span
from lsp.style import dedent, find_style, leading_space, normalize_breaks, set_breaks


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of the last job of a document."""

    offer: Offer
    view: View
    """What it was made for."""
    code: str = ""
    """What the model wrote and is not in the document; empty where there is nothing to insert."""


def build_insertion(view: View, code: str) -> Edits:
    """Put code where the user stands, as it is: they have seen that it does not fit by itself.

    It replaces the lines of a selection, or a blank line; else it comes below the cursor's line.
    """
    lines = view.lines
    target = lines.whole_lines(view.selection)
    here = target.cut(lines.text)
    indent = _find_indent(lines, target)
    style = find_style(lines)
    plain = dedent(normalize_breaks(code)).strip("\n")
    block = set_breaks(_indented(plain, indent), style)
    if view.selection.is_empty and here.strip():
        edit = TextEdit(span=Span(start=target.end, end=target.end), text=style.line_end + block)
    else:
        edit = TextEdit(span=target, text=block)
    file = FileEdit(uri=view.snapshot.uri, version=view.snapshot.version, lines=lines, edits=(edit,))
    return Edits(title="Insert last result", files=(file,), snapshot=view.snapshot, code=code)


def _find_indent(lines: Lines, target: Span) -> str:
    """The indentation of the first line of a target that has one, else of the nearest line above."""
    first, last = lines.line_at(target.start), lines.line_at(target.end)
    for number in (*range(first, last + 1), *range(first - 1, -1, -1)):
        text = lines.line_text(number)
        if text.strip():
            return leading_space(text)
    return ""


def _indented(code: str, indent: str) -> str:
    return "\n".join(indent + line if line.strip() else "" for line in code.split("\n"))
