"""What all dialogs share: a box over the chat that Esc and Ctrl+C close without an answer."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None]):
    """A box over the chat. It is left with an answer, or with None."""

    DEFAULT_CSS = """
    Dialog {
        align: center middle;
        .box {
            width: 90%;
            max-width: 90;
            height: auto;
            max-height: 90%;
            padding: 0 1;
            border: round $border;
            background: $surface;
        }
        .box.tall { height: 90%; }
        .box.wide { max-width: 200; width: 96%; }
        .title { text-style: bold; }
        .note { color: $text-muted; }
        .complaint { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back"),
        Binding("ctrl+c", "leave", "back", show=False, priority=True),
    ]

    def action_leave(self) -> None:
        """Close it without an answer."""
        self.dismiss(None)
