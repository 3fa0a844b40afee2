"""Two texts compared, line by line."""

from __future__ import annotations

import difflib
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.screens.dialog import Dialog
from tui.shown import shown_text
from tui.textual_app import is_ansi
from tui.widgets.plain import PlainStatic

MAX_LINES = 4000
"""Comparing takes longer than the lines are many."""


def build_diff(old: str, new: str) -> list[str]:
    """Return the lines of a unified diff without its head; an empty list where nothing differs."""
    olds, news = (shown_text(text).split("\n")[:MAX_LINES] for text in (old, new))
    lines = difflib.unified_diff(olds, news, n=3, lineterm="")
    return [line for line in lines if not line.startswith(("--- ", "+++ "))]


class DiffScreen(Dialog[None]):
    """Shows what differs.

    Args:
        title: What is compared.
        old: The text that was there before.
        new: The other one.
    """

    DEFAULT_CSS = "DiffScreen .lines { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q,enter", "leave", "back", show=False)]

    def __init__(self, title: str, old: str, new: str) -> None:
        super().__init__()
        self._title = title
        self._lines = build_diff(old, new)

    def compose(self) -> ComposeResult:
        """Lay out the title and the lines."""
        added = sum(line.startswith("+") for line in self._lines)
        removed = sum(line.startswith("-") for line in self._lines)
        with Vertical(classes="box tall wide"):
            yield PlainStatic(f"{self._title}   +{added} −{removed}", classes="title")  # noqa: RUF001
            with VerticalScroll(classes="lines"):
                yield Static(self._paint(), markup=False)
            yield PlainStatic("Esc goes back.", classes="note")

    def _paint(self) -> Content:
        if not self._lines:
            return Content("Nothing differs.")
        ansi = is_ansi(self)
        styles = (
            {"+": "ansi_green", "-": "ansi_red", "@": "ansi_cyan"}
            if ansi
            else {"+": "$text-success", "-": "$text-error", "@": "$text-accent"}
        )
        lines = [Content.styled(line, styles.get(line[:1], "")) for line in self._lines]
        return Content("\n").join(lines)
