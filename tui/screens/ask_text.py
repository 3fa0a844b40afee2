"""A question for one line of text: where to save, what to call it."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input

from tui.screens.dialog import Dialog
from tui.widgets.plain import PlainStatic
from tui.widgets.typing_order import LineInput


class AskTextScreen(Dialog[str]):
    """Asks for a line.

    Args:
        title: What it is for.
        value: What stands there at first.
        find_fault: Returns what is wrong with a line, or the empty text.
        note: What is good to know.
    """

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        find_fault: Callable[[str], str] = lambda _: "",
        note: str = "Enter takes it, Esc goes back.",
    ) -> None:
        super().__init__()
        self._title = title
        self._value = value
        self._find_fault = find_fault
        self._note = note

    def compose(self) -> ComposeResult:
        """Lay out title, line and complaint."""
        with Vertical(classes="box"):
            yield PlainStatic(self._title, classes="title")
            yield LineInput(self._value, id="line", select_on_focus=True)
            yield PlainStatic(self._note, classes="note", id="note")

    def on_mount(self) -> None:
        """Go to the line."""
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _take_line(self, event: Input.Submitted) -> None:
        event.stop()
        fault = self._find_fault(event.value)
        if not fault:
            self.dismiss(event.value)
            return
        note = self.query_one("#note", PlainStatic)
        note.add_class("complaint")
        note.show(fault)
