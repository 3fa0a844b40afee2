"""Code that is complete, in colours."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.highlighting import highlight_code
from tui.shown import shown_text
from tui.textual_app import app_of, is_ansi


class CodeView(Static):
    """Shows code, highlighted once.

    Args:
        code: It, as it is.
        classes: The widget's classes.
    """

    DEFAULT_CSS = """
    CodeView {
        padding: 0 1;
        background: $boost;
        &:ansi { background: ansi_default; }
    }
    """

    def __init__(self, code: str, *, classes: str | None = None) -> None:
        super().__init__(Content(""), markup=False, classes=classes)
        self._code = shown_text(code)
        self._is_ansi: bool | None = None

    def on_mount(self) -> None:
        """Colour it, now that the theme is known."""
        self._paint()
        app_of(self).theme_changed_signal.subscribe(self, lambda _: self._paint())

    def _paint(self) -> None:
        ansi = is_ansi(self)
        if ansi != self._is_ansi:  # other themes resolve the same names by themselves
            self._is_ansi = ansi
            self.update(highlight_code(self._code, is_ansi=ansi))
