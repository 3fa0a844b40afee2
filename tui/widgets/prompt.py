"""Where the task is typed. It grows with its text, keeps earlier tasks at hand and sends on Enter."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from tui.bindings import build_bindings
from tui.keys import Place, fixed_actions
from tui.recall import Recall
from tui.widgets.typing_order import run_own_binding

LARGE_PASTE_CHARS = 8_000
"""A longer paste is no task: it becomes the input."""


class Prompt(TextArea):
    """The task.

    Args:
        recall: Earlier tasks.
    """

    DEFAULT_CSS = """
    Prompt {
        height: auto;
        min-height: 3;
        max-height: 10;
        border: tall $border-blurred;
        &:focus { border: tall $border; }
    }
    """
    BINDINGS = build_bindings(Place.PROMPT, priority=False, without=fixed_actions())

    @dataclass
    class Submitted(Message):
        """The user wants an answer."""

        task: str

    @dataclass
    class PastedLarge(Message):
        """A text was pasted that is too long for a task."""

        text: str

    class FileWanted(Message):
        """The user wants to name a file."""

    class QuitWanted(Message):
        """The user wants to leave."""

    def __init__(self, recall: Recall) -> None:
        super().__init__(
            id="prompt",
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            placeholder="What should the code do?   Enter sends · F1 helps",
            tab_behavior="focus",
        )
        self._recall = recall
        self._at = (0, 0)

    def load(self, text: str) -> None:
        """Put another text in, the cursor at its end. Undo brings the old one back."""
        self.replace(text, (0, 0), self.document.end)
        self.move_cursor(self.document.end)

    def take(self) -> str:
        """Empty it and return what was there; ↑ finds it again."""
        text = self.text
        self._recall.add(text)
        self.load("")
        return text

    def put_back(self, task: str) -> None:
        """Take a task back that could not be sent, before what was typed since."""
        self.load(task + self.text)

    def take_after_at(self) -> str:
        """Take back what was typed after an @, before the question for a file was there."""
        end = self.cursor_location
        if self._at >= end:
            return ""
        typed = self.get_text_range(self._at, end)
        self.delete(self._at, end)
        return typed

    def action_send(self) -> None:
        """Hand the task over. What is typed from now on is the next one, however late this one is taken."""
        if self.text.strip():
            self.post_message(self.Submitted(self.take()))

    def action_newline(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def action_delete_or_quit(self) -> None:
        """Delete to the right, or leave where there is nothing."""
        if self.text:
            self.action_delete_right()
        else:
            self.post_message(self.QuitWanted())

    async def _on_key(self, event: events.Key) -> None:
        if self._handle_key(event):
            event.stop()
            event.prevent_default()
        elif not await run_own_binding(self, event):
            await super()._on_key(event)

    def _handle_key(self, event: events.Key) -> bool:
        """Do what a key means here; return whether it means something."""
        if event.character == "@" and self._is_word_start():
            self._at = self.cursor_location
            self.post_message(self.FileWanted())
            return True
        return False

    def action_cursor_up(self, select: bool = False) -> None:
        """Go up; from the first line, to an earlier task."""
        if self._cursor_row() > 0 or select:
            super().action_cursor_up(select)
        elif (task := self._recall.earlier(self.text)) is not None:
            self.load(task)

    def action_cursor_down(self, select: bool = False) -> None:
        """Go down; from the last line, to a later task."""
        if self._cursor_row() < self.wrapped_document.height - 1 or select:
            super().action_cursor_down(select)
        elif (task := self._recall.later()) is not None:
            self.load(task)

    async def _on_paste(self, event: events.Paste) -> None:
        if len(event.text) > LARGE_PASTE_CHARS:
            event.stop()
            event.prevent_default()
            self.post_message(self.PastedLarge(event.text))

    def _cursor_row(self) -> int:
        """Return the row of the cursor as shown: one long line may take several."""
        return self.wrapped_document.location_to_offset(self.cursor_location).y

    def _is_word_start(self) -> bool:
        row, column = self.cursor_location
        return column == 0 or self.document[row][column - 1].isspace()
