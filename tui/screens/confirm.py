"""A question that a slip of the finger must not answer with yes."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Button

from tui.screens.dialog import Dialog
from tui.widgets.plain import PlainStatic


class ConfirmScreen(Dialog[bool]):
    """Asks; the focus is on no.

    Args:
        question: What is to be confirmed.
        detail: What the user should know or see before.
        yes: What the button says that does it.
    """

    DEFAULT_CSS = """
    ConfirmScreen {
        .detail { height: auto; max-height: 12; margin: 1 0; }
        .buttons { height: 1; align-horizontal: right; }
        Button { margin-left: 2; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("n", "answer(False)", "no"),
    ]

    def __init__(self, question: str, detail: str = "", *, yes: str = "Yes") -> None:
        super().__init__()
        self._question = question
        self._detail = detail
        self._yes = yes

    def compose(self) -> ComposeResult:
        """Lay out question, detail and buttons."""
        with Vertical(classes="box"):
            yield PlainStatic(self._question, classes="title")
            if self._detail:
                with VerticalScroll(classes="detail", can_focus=False):
                    yield PlainStatic(self._detail, classes="note")
            with Horizontal(classes="buttons"):
                yield Button("No (n)", id="no", variant="primary", compact=True)
                yield Button(f"{self._yes} (y)", id="yes", compact=True)

    def on_mount(self) -> None:
        """Make no the answer of Enter."""
        self.query_one("#no").focus()

    @on(Button.Pressed)
    def _take_button(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        """Answer by key."""
        self.dismiss(answer)
