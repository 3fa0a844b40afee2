"""Finding a file by a few letters of its path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from tui.file_search import find_matches, list_files
from tui.screens.dialog import Dialog
from tui.shown import shown_text
from tui.widgets.plain import PlainStatic
from tui.widgets.typing_order import LineInput


class FilePickerScreen(Dialog[str]):
    """Asks for a file below a directory. Left with its path; or with @ and what was typed, if none fits.

    Args:
        root: The directory.
        take_typed: Called once it is there: takes what was typed meanwhile.
    """

    DEFAULT_CSS = "FilePickerScreen OptionList { height: auto; max-height: 12; border: none; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", "next", show=False, priority=True),
        Binding("up", "move(-1)", "previous", show=False, priority=True),
    ]

    def __init__(self, root: Path, take_typed: Callable[[], str]) -> None:
        super().__init__()
        self._root = root
        self._take_typed = take_typed
        self._files: list[str] = []
        self._shown: list[str] = []

    def compose(self) -> ComposeResult:
        """Lay out the line and the list."""
        with Vertical(classes="box"):
            yield LineInput(placeholder="letters of a file's path", id="line")
            yield OptionList(id="files")
            yield PlainStatic("Enter makes it the input, Esc types @ as it is.", classes="note")

    async def on_mount(self) -> None:
        """Look through the directory."""
        line = self.query_one(Input)
        line.value = self._take_typed()
        line.cursor_position = len(line.value)
        line.focus()
        self._files = await asyncio.to_thread(list_files, self._root)
        self._show(self.query_one(Input).value)

    @on(Input.Changed)
    def _narrow(self, event: Input.Changed) -> None:
        event.stop()
        self._show(event.value)

    @on(Input.Submitted)
    def _take_line(self, event: Input.Submitted) -> None:
        event.stop()
        number = self.query_one(OptionList).highlighted
        self.dismiss(self._shown[number] if number is not None else f"@{event.value}")

    @on(OptionList.OptionSelected)
    def _take_option(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._shown[event.option_index])

    def action_move(self, step: int) -> None:
        """Go down or up in the list."""
        options = self.query_one(OptionList)
        if self._shown:
            options.highlighted = ((options.highlighted or 0) + step) % len(self._shown)

    def action_leave(self) -> None:
        """Close it with what was typed: it was no file that was meant."""
        self.dismiss(f"@{self.query_one(Input).value}")

    def _show(self, typed: str) -> None:
        self._shown = find_matches(typed, self._files)
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(Content(shown_text(path))) for path in self._shown])
        options.highlighted = 0 if self._shown else None
