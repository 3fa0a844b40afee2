"""Python code in a terminal's own colours, line by line as it comes. Knows nothing of where it is shown."""

from __future__ import annotations

from typing import Any

from pygments.lexer import ExtendedRegexLexer, LexerContext
from pygments.lexers.python import PythonLexer  # pyright: ignore[reportMissingTypeStubs]
from pygments.token import Comment, Keyword, Name, Number, Operator, String

_PLAIN = "\x1b[0m"
_COLORS = {
    Comment: "\x1b[90m",
    Keyword: "\x1b[35m",
    Keyword.Constant: "\x1b[36m",
    Operator.Word: "\x1b[35m",
    Name.Builtin: "\x1b[36m",
    Name.Class: "\x1b[33m",
    Name.Decorator: "\x1b[33m",
    Name.Exception: "\x1b[36m",
    Name.Function: "\x1b[34m",
    Number: "\x1b[36m",
    String: "\x1b[32m",
}
"""The terminal's eight base colours: its theme makes them fit for its background."""


class _ResumableLexer(ExtendedRegexLexer, PythonLexer):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A lexer whose state between two lines can be kept: a string may be open."""


class LineHighlighter:
    """Colours code that comes a line at a time. Its output without colours is its input."""

    def __init__(self) -> None:
        self._lexer = _ResumableLexer()
        self._stack: list[str] = ["root"]

    def color_line(self, line: str) -> str:
        """Colour the next line, its end included."""
        context = LexerContext(line, 0, stack=self._stack)
        pieces = [
            _painted(text, kind) for _, kind, text in self._lexer.get_tokens_unprocessed(context=context)
        ]
        self._stack = context.stack
        return "".join(pieces)


def color_code(text: str) -> str:
    """Colour code that is there as a whole."""
    highlighter = LineHighlighter()
    return "".join(highlighter.color_line(line) for line in text.splitlines(keepends=True))


def _painted(text: str, kind: Any) -> str:
    if not text.strip():
        return text
    color = next((_COLORS[parent] for parent in reversed(kind.split()) if parent in _COLORS), "")
    return f"{color}{text}{_PLAIN}" if color else text
