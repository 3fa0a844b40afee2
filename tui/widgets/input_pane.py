"""The input of a task: data or code. Short enough it can be edited; a long one is kept and described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import TextArea

from tui.shown import describe_size, first_lines
from tui.widgets.plain import PlainStatic
from tui.widgets.typing_order import run_own_binding

MAX_EDITED_CHARS = 100_000
"""A longer text is not put into an editor, which would take seconds for it."""
SHOWN_LINES = 6


class InputEditor(TextArea):
    """The part that is typed in."""

    @dataclass
    class PastedLarge(Message):
        """A text was pasted that is too long to edit."""

        text: str

    async def _on_key(self, event: events.Key) -> None:
        if not await run_own_binding(self, event):
            await super()._on_key(event)

    async def _on_paste(self, event: events.Paste) -> None:
        if len(self.text) + len(event.text) > MAX_EDITED_CHARS:
            event.stop()
            event.prevent_default()
            self.post_message(self.PastedLarge(event.text))


class InputPane(Vertical):
    """The input, hidden until there is one or it is asked for."""

    DEFAULT_CSS = """
    InputPane {
        height: auto;
        max-height: 14;
        display: none;
        &.shown { display: block; }
        #input-title { color: $text-muted; padding: 0 1; height: 1; }
        #input-kept { padding: 0 1; background: $boost; max-height: 8; display: none; }
        InputEditor { height: auto; min-height: 3; max-height: 12; border: tall $border-blurred; }
        InputEditor:focus { border: tall $border; }
        &.long InputEditor { display: none; }
        &.long #input-kept { display: block; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+u", "clear", "remove the input", show=False)]

    class Changed(Message):
        """The input is another one now."""

    def __init__(self) -> None:
        super().__init__(id="input-pane")
        self._long = ""
        self.source = ""
        """Where the text came from; empty where it was typed."""

    def compose(self) -> ComposeResult:
        """Lay out the title, the editor, and the description that takes its place."""
        yield PlainStatic("Input", id="input-title")
        yield InputEditor(
            id="input", soft_wrap=False, highlight_cursor_line=False, placeholder="Data or code for the task"
        )
        yield PlainStatic(id="input-kept")

    @property
    def editor(self) -> InputEditor:
        """Where it is typed."""
        return self.query_one(InputEditor)

    @property
    def text(self) -> str:
        """The whole input."""
        return self._long or self.editor.text

    @property
    def is_shown(self) -> bool:
        """Whether it is on the screen."""
        return self.has_class("shown")

    def load(self, text: str, source: str = "") -> None:
        """Put another input in and show it; the empty text hides it.

        Args:
            text: It.
            source: Where it came from.
        """
        self.source = source
        is_long = len(text) > MAX_EDITED_CHARS
        self._long = text if is_long else ""
        self.editor.load_text("" if is_long else text)
        self.query_one("#input-kept", PlainStatic).show(first_lines(text, SHOWN_LINES) if is_long else "")
        self.set_class(is_long, "long")
        self.can_focus = is_long
        self.set_class(bool(text), "shown")
        self._describe()
        self.post_message(self.Changed())

    def focus_text(self) -> None:
        """Go to where the input can be changed, or removed."""
        if self._long:
            self.focus()
        else:
            self.editor.focus()

    def action_clear(self) -> None:
        """Remove the input."""
        self.load("")

    def toggle(self) -> None:
        """Show it, or hide it. Its text stays."""
        self.toggle_class("shown")

    @on(TextArea.Changed)
    def _note_typing(self, event: TextArea.Changed) -> None:
        event.stop()
        if not self.editor.text and not self._long:
            self.source = ""
        self._describe()
        self.post_message(self.Changed())

    @on(InputEditor.PastedLarge)
    def _keep_large(self, event: InputEditor.PastedLarge) -> None:
        event.stop()
        self.load(self.text + event.text, self.source or "pasted")

    def _describe(self) -> None:
        text = self.text
        parts = ["Input", self.source, describe_size(text) if text else "empty"]
        if self._long:
            parts.append("too long to edit here; Ctrl+G opens it, Ctrl+U removes it")
        self.query_one("#input-title", PlainStatic).show(" · ".join(filter(None, parts)), layout=False)
