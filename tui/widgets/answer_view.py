"""An answer that has come to its end: prose and code apart, frozen."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical

from tui.reading import Reading
from tui.widgets.code_view import CodeView
from tui.widgets.plain import PlainStatic


class AnswerView(Vertical):
    """Shows a whole answer.

    Args:
        reading: The answer, taken apart.
    """

    DEFAULT_CSS = """
    AnswerView {
        height: auto;
        .prose { padding: 0 1; color: $text-muted; }
        &:ansi .prose { text-style: dim; }
    }
    """

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self._reading = reading

    def compose(self) -> ComposeResult:
        """Lay the parts out, one below the other."""
        for part in self._reading.parts:
            if part.is_code:
                yield CodeView(part.text)
            else:
                yield PlainStatic(part.text, classes="prose")
