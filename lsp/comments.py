"""What people write to be carried out: comments, strings that stand alone, sentences amid code."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lsp.outline import DEFINITIONS, is_string_statement
from lsp.parsing import parses
from lsp.positions import Lines, Span
from lsp.syntax import SyntaxTree, span_of

if TYPE_CHECKING:
    from tree_sitter import Node

_DIRECTIVE = re.compile(
    r"#\s*(?:noqa|type:|pylint:|pyright:|ruff:|fmt:|isort:|mypy:|flake8:|pragma|nosec|region|endregion|%%|!|-\*-)",
    re.I,
)
_MARK = re.compile(r"(?:TODO|FIXME|XXX)\b(?:\([^)]*\))?:?", re.IGNORECASE)
_TODO = re.compile(r"#+:?\s*(?:TODO|FIXME)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_][\w'\u2019-]*")
_CODE_MARKS = re.compile(r"[={}]|\w[(\[]|->|^\s*(?:import|from|def|class|return|@)\b", re.MULTILINE)
_MAX_LINES = 60
"""A longer comment is a document, not a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Words that ask for code."""

    span: Span
    """The characters they are written in, marks and quotes included."""
    words: str
    """Without marks and quotes, in one paragraph for each."""
    is_todo: bool = False
    is_comment: bool = False
    is_trailing: bool = False
    """A comment behind code on the same line."""


def find_comment(tree: SyntaxTree, line: int) -> Wish | None:
    """Return the block of comments that a line is part of, or the TODO at its end."""
    lines = tree.lines
    content = lines.content(line)
    text = content.cut(lines.text)
    start = content.start + len(text) - len(text.lstrip())
    if not text.lstrip().startswith("#"):
        return _find_trailing_todo(tree, content)
    if not _is_comment(tree, start) or _is_directive(text):
        return None
    column = start - content.start
    first = last = line
    while first > 0 and last - first < _MAX_LINES and _continues(tree, first - 1, column):
        first -= 1
    while last + 1 < len(lines.starts) and last - first < _MAX_LINES and _continues(tree, last + 1, column):
        last += 1
    span = Span(start=lines.starts[first] + column, end=lines.content(last).end)
    return _read_comment(span.cut(lines.text), span)


def find_lone_string(tree: SyntaxTree, span: Span) -> Wish | None:
    """Return the string around a place that is a statement of its own and documents nothing."""
    node: Node | None = tree.root.descendant_for_byte_range(span.start, span.end)
    while node is not None and node.type != "expression_statement":
        node = node.parent
    if node is None or not is_string_statement(node) or _documents(node):
        return None
    contents = (child for child in node.named_children[0].named_children if child.type == "string_content")
    words = _join_words(" ".join(tree.text_of(content) for content in contents).splitlines())
    return Wish(span=span_of(node), words=words) if _asks(words) else None


def find_sentence(lines: Lines, span: Span) -> Wish | None:
    """Return the selected words, where they are words and not code."""
    text = span.cut(lines.text)
    stripped = text.strip()
    if not stripped or text.count("\n") > _MAX_LINES or not is_prose(stripped):
        return None
    start = span.start + len(text) - len(text.lstrip())
    words = _join_words(stripped.splitlines())
    return Wish(span=Span(start=start, end=start + len(stripped)), words=words)


def find_instruction(tree: SyntaxTree, span: Span) -> Wish | None:
    """Return the first comment that asks for something, in a selection that holds code as well."""
    lines = tree.lines
    first, last = lines.line_at(span.start), lines.line_at(span.end)
    texts = {number: lines.line_text(number).strip() for number in range(first, min(last, first + 500) + 1)}
    if not any(text and not text.startswith("#") for text in texts.values()):
        return None
    for number, text in texts.items():
        wish = find_comment(tree, number) if text.startswith("#") else None
        if wish is not None and span.covers(wish.span):
            return wish
    return None


def is_prose(text: str) -> bool:
    """Whether a text is words: some of them, no marks of code, and not a program."""
    if len(_WORD.findall(text)) < 3 and not _is_wordless_script(text):
        return False
    if _CODE_MARKS.search(text) or text.lstrip().startswith("#"):
        return False
    return not _is_program(text)


def _asks(words: str) -> bool:
    return len(_WORD.findall(words)) >= 2 or _is_wordless_script(words)


def _is_program(text: str) -> bool:
    return parses(text) and not _is_wordless_script(text)


def _is_wordless_script(text: str) -> bool:
    """Some scripts put no spaces between words."""
    return len(re.findall(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]", text)) >= 4


def _continues(tree: SyntaxTree, line: int, column: int) -> bool:
    content = tree.lines.content(line)
    text = content.cut(tree.lines.text)
    is_aligned = text[column : column + 1] == "#" and not text[:column].strip()
    return is_aligned and not _is_directive(text) and _is_comment(tree, content.start + column)


def _is_comment(tree: SyntaxTree, offset: int) -> bool:
    node = tree.root.descendant_for_byte_range(offset, offset + 1)
    return node is not None and node.type == "comment"


def _is_directive(text: str) -> bool:
    return _DIRECTIVE.match(text.strip()) is not None


def _find_trailing_todo(tree: SyntaxTree, content: Span) -> Wish | None:
    text = content.cut(tree.lines.text)
    match = _TODO.search(text)
    if match is None or not _is_comment(tree, content.start + match.start()):
        return None
    span = Span(start=content.start + match.start(), end=content.end)
    wish = _read_comment(span.cut(tree.lines.text), span)
    return wish and Wish(span=span, words=wish.words, is_todo=True, is_comment=True, is_trailing=True)


def _read_comment(text: str, span: Span) -> Wish | None:
    rows = [row.strip().lstrip("#").removeprefix(":").strip() for row in text.splitlines()]
    if _is_program("\n".join(rows)):
        return None  # code that somebody took out
    is_todo = _TODO.match(text) is not None
    words = _join_words(_MARK.sub("", row, count=1) if _MARK.match(row) else row for row in rows)
    return Wish(span=span, words=words, is_todo=is_todo, is_comment=True) if _asks(words) else None


def _join_words(rows: Iterable[str]) -> str:
    """One line for each paragraph."""
    paragraphs = "\n".join(row.strip() for row in rows).strip().split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip())


def _documents(node: Node) -> bool:
    """Whether a string documents what it stands in or after."""
    parent, before = node.parent, node.prev_named_sibling
    while before is not None and before.type == "comment":
        before = before.prev_named_sibling
    if before is None:
        is_body = parent is not None and parent.parent is not None and parent.parent.type in DEFINITIONS
        return is_body or (parent is not None and parent.named_child_count > 1)
    inner = before.named_children[0].type if before.named_children else ""
    return before.type == "expression_statement" and inner == "assignment"
