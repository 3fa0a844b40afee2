"""One line that says what goes on. Its size never changes, so that showing it lays nothing out anew."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal

from tui.widgets.plain import PlainStatic


class StatusLine(Horizontal):
    """What goes on at the left, the model and its parameters at the right."""

    DEFAULT_CSS = """
    StatusLine {
        height: 1;
        padding: 0 1;
        #state { width: 1fr; height: 1; text-overflow: ellipsis; text-wrap: nowrap; }
        #settings { width: auto; max-width: 50%; height: 1; color: $text-muted; text-wrap: nowrap; }
        &.warning #state { color: $text-warning; }
        &.error #state { color: $text-error; }
        &:ansi #settings { text-style: dim; }
    }
    """

    def __init__(self) -> None:
        super().__init__(id="status")

    def compose(self) -> ComposeResult:
        """Lay out both ends."""
        yield PlainStatic(id="state")
        yield PlainStatic(id="settings")

    def show_state(self, text: str, *, severity: str = "") -> None:
        """Say what goes on.

        Args:
            text: It, on one line.
            severity: warning, error, or empty for what is as it should be.
        """
        self.set_class(severity == "warning", "warning")
        self.set_class(severity == "error", "error")
        self.query_one("#state", PlainStatic).show(" ".join(text.split("\n")), layout=False)

    def show_settings(self, text: str) -> None:
        """Say which model answers, and how."""
        self.query_one("#settings", PlainStatic).show(text)
