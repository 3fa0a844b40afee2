r"""An error-tolerant syntax tree of a document, kept in step with each change.

The parser sees one byte for each character, so that its byte offsets are our offsets: what is not ASCII is
replaced by a letter or a mark that reads the same to the grammar, and a lone `\r` by the `\n` that it means.
Text is always taken from the document itself. Trees never change; `edited` makes the next one.

Following a keystroke costs a millisecond. Not so where a bracket or a string is open at the top of a long
document: then all that is below is read anew each time. Until it is closed, `focused` reads what is around.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from lsp.positions import Lines, Span

if TYPE_CHECKING:
    from tree_sitter import Language, Node, Range, Tree

MAX_CHARS = 4 * 1024 * 1024
"""A larger document gets an empty tree: the first parse would hold up the editor for seconds."""

LONG_LINES = 1000
"""A shorter document is read as a whole first, whatever is wrong with it."""
MAX_WINDOW_LINES = 1500
_HEADER = re.compile(r"(?:async[ \t]+def|def|class)\b|@")
_WORD = re.compile(r"[^\W\x00-\x7f]")
_LONE_RETURN = re.compile(r"\r(?!\n)")
_MAGIC = re.compile(r"^([ \t]*)[%!?]", re.MULTILINE)
_BYTE_ORDER_MARK = "\ufeff"


class SyntaxTree:
    """The tree of one text. Parsing waits until somebody looks; safe to read from any thread.

    Args:
        lines: The text.
        is_cell: A line that begins with `%`, `!` or `?` is a command of the notebook, not Python.
    """

    __slots__ = (
        "_is_suspect",
        "_parsed",
        "_stale",
        "_was_window_broken",
        "_whole",
        "is_cell",
        "lines",
        "masked",
    )

    def __init__(self, lines: Lines, *, is_cell: bool = False, masked: bytes | None = None) -> None:
        self.lines = lines
        self.is_cell = is_cell
        self.masked = masked if masked is not None else b""
        """What the parser sees."""
        if masked is None and not self.is_too_large:
            self.masked = _mask(lines.text, is_cell=is_cell)
        self._whole: SyntaxTree | None = None  # no tree refers to itself: one goes with each keystroke
        self._parsed: Tree | None = None
        self._stale: Tree | None = None
        self._is_suspect = False  # there was an error when the document was last read as a whole
        self._was_window_broken = False

    @property
    def is_too_large(self) -> bool:
        """Whether the document is beyond what is parsed; the tree is empty then."""
        return len(self.lines.text) > MAX_CHARS

    @property
    def whole(self) -> SyntaxTree:
        """The tree of all of the document."""
        return self._whole or self

    @property
    def root(self) -> Node:
        """The module."""
        if self._parsed is None:
            self._parsed = _parse(self.masked, self._stale)
            self._stale = None
        return self._parsed.root_node

    def focused(self, span: Span) -> SyntaxTree:
        """Return the tree of what is around a place where the document has errors, else the whole one.

        What is wrong in one function of the top level then says nothing of the others.
        """
        is_long = len(self.lines.starts) >= LONG_LINES
        if not (is_long and self._is_suspect and self._parsed is None) and not self.root.has_error:
            return self
        window = _find_window(self.lines, span)
        if window is None:
            return self
        tree = SyntaxTree(self.lines, is_cell=self.is_cell, masked=self.masked)
        tree._whole = self
        tree._parsed = _parse(self.masked, None, _range(self.lines, window))
        is_mended = self._was_window_broken and not tree.root.has_error
        self._was_window_broken = tree.root.has_error
        return self if is_mended and not self.root.has_error else tree

    def edited(self, after: Lines, span: Span, length: int) -> SyntaxTree:
        """Return the tree of the text after a change.

        Args:
            after: The text after it.
            span: What was replaced, in the text before.
            length: How many characters stand there after.
        """
        if self.is_too_large or len(after.text) > MAX_CHARS:
            return SyntaxTree(after, is_cell=self.is_cell)
        before = self.lines
        line = before.line_at(span.start)
        if line and before.text[before.starts[line] - 1] == "\r":
            line -= 1  # what the return means depends on the character after it
        start = before.starts[line]
        new_end = after.full(after.line_at(span.start + length)).end
        old_end = new_end - length + span.end - span.start
        changed = _mask(after.text[start:new_end], is_cell=self.is_cell, is_start=start == 0)
        masked = self.masked[:start] + changed + self.masked[old_end:]
        tree = SyntaxTree(after, is_cell=self.is_cell, masked=masked)
        known = self._parsed or self._stale
        tree._is_suspect = self._parsed.root_node.has_error if self._parsed is not None else self._is_suspect
        tree._was_window_broken = self._was_window_broken
        tree._stale = known.copy() if known is not None else None
        if tree._stale is not None:
            tree._stale.edit(
                start,
                old_end,
                new_end,
                _point(before, start),
                _point(before, old_end),
                _point(after, new_end),
            )
        return tree

    def text_of(self, node: Node) -> str:
        """The document's text of a node."""
        return self.lines.text[node.start_byte : node.end_byte]


def span_of(node: Node) -> Span:
    """The offsets of a node."""
    return Span(start=node.start_byte, end=node.end_byte)


def _point(lines: Lines, offset: int) -> tuple[int, int]:
    line = lines.line_at(offset)
    return line, offset - lines.starts[line]


def _mask(text: str, *, is_cell: bool, is_start: bool = True) -> bytes:
    if is_start and text.startswith(_BYTE_ORDER_MARK):
        text = "\f" + text[1:]  # the one character before a line's indentation that is not counted
    if "\r" in text:
        text = _LONE_RETURN.sub("\n", text)
    if is_cell:
        text = _MAGIC.sub(r"\1#", text)
    if not text.isascii():
        text = _WORD.sub("x", text)
    return text.replace("\0", "?").encode("ascii", "replace")


@functools.cache
def _language() -> Language:
    import tree_sitter_python
    from tree_sitter import Language

    return Language(tree_sitter_python.language())


def _parse(text: bytes, stale: Tree | None, only: Range | None = None) -> Tree:
    from tree_sitter import Parser

    parser = Parser(_language(), included_ranges=[only] if only is not None else None)
    return parser.parse(text, stale) if stale is not None else parser.parse(text)


def _range(lines: Lines, span: Span) -> Range:
    from tree_sitter import Range

    return Range(_point(lines, span.start), _point(lines, span.end), span.start, span.end)


def _find_window(lines: Lines, span: Span) -> Span | None:
    """The functions and classes of the top level that a place is in, with what follows the last of them."""
    first, last = lines.line_at(span.start), lines.line_at(span.end) + 1
    while first > 0 and not _HEADER.match(lines.text, lines.starts[first]):
        first -= 1
    while first > 0 and lines.text.startswith("@", lines.starts[first - 1]):
        first -= 1
    while last < len(lines.starts) and not _HEADER.match(lines.text, lines.starts[last]):
        last += 1
    if last - first > MAX_WINDOW_LINES:
        return None
    return Span(start=lines.starts[first], end=lines.full(last - 1).end)
