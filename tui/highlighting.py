"""Python code in the theme's colours, whole or line by line as it comes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pygments.lexer import ExtendedRegexLexer, LexerContext
from pygments.lexers.python import PythonLexer  # pyright: ignore[reportMissingTypeStubs]
from pygments.token import Comment, Keyword, Name, Number, Operator, String
from textual.content import Content, Span

STYLES: Mapping[Any, str] = {
    Comment: "$text 60%",
    Keyword: "$text-accent",
    Keyword.Constant: "$text-warning",
    Name.Builtin: "$text-secondary",
    Name.Class: "$text-warning bold",
    Name.Decorator: "$text-primary bold",
    Name.Exception: "$text-secondary",
    Name.Function: "$text-primary bold",
    Number: "$text-warning",
    Operator.Word: "$text-accent",
    String: "$text-success",
}
ANSI_STYLES: Mapping[Any, str] = {
    Comment: "dim italic",
    Keyword: "ansi_magenta",
    Keyword.Constant: "ansi_cyan",
    Name.Builtin: "ansi_cyan",
    Name.Class: "ansi_yellow bold",
    Name.Decorator: "ansi_blue bold",
    Name.Exception: "ansi_cyan",
    Name.Function: "ansi_blue bold",
    Number: "ansi_yellow",
    Operator.Word: "ansi_magenta",
    String: "ansi_green",
}
"""The terminal's own colours: its theme makes them fit for its background."""
MAX_LINE_CHARS = 2000
"""A longer line is shown without colours: lexers can be slow on lines that no person wrote."""


class _ResumableLexer(ExtendedRegexLexer, PythonLexer):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A lexer whose state between two lines can be kept: a string may be open."""


class LineHighlighter:
    """Colours code that comes a line at a time.

    Args:
        is_ansi: Use the terminal's own colours.
    """

    def __init__(self, *, is_ansi: bool) -> None:
        self._lexer = _shared_lexer()
        self._stack: list[str] = ["root"]
        self._styles = ANSI_STYLES if is_ansi else STYLES

    def peek(self, line: str) -> Content:
        """Colour a line that is not complete yet."""
        stack = list(self._stack)
        content = self.feed(line)
        self._stack = stack
        return content

    def feed(self, line: str) -> Content:
        """Colour the next line; its end may be part of it."""
        if len(line) > MAX_LINE_CHARS:
            return Content(line)
        context = LexerContext(line, 0, stack=list(self._stack))
        spans: list[Span] = []
        for start, kind, text in self._lexer.get_tokens_unprocessed(context=context):
            style = _style_of(kind, self._styles) if text.strip() else ""
            if style:
                spans.append(Span(start, start + len(text), style))
        self._stack = context.stack
        return Content(line, spans=spans)


def highlight_code(code: str, *, is_ansi: bool) -> Content:
    """Colour whole code."""
    highlighter = LineHighlighter(is_ansi=is_ansi)
    lines = code.split("\n")
    return Content("\n").join([highlighter.feed(f"{line}\n").rstrip("\n") for line in lines])


@cache
def _shared_lexer() -> _ResumableLexer:
    return _ResumableLexer()


def _style_of(kind: Any, styles: Mapping[Any, str]) -> str:
    return next((styles[parent] for parent in reversed(kind.split()) if parent in styles), "")
