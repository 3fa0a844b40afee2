"""The chat: what keys and widgets ask for, led to where it is done."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.widgets import TextArea

from assistant.errors import AssistantError
from tui.bindings import build_bindings
from tui.copying import copy_to_clipboard
from tui.input_files import read_input_file
from tui.keys import Place
from tui.screens.answering import AnsweringScreen
from tui.screens.conversations import ConversationsScreen
from tui.screens.file_picker import FilePickerScreen
from tui.screens.help import HelpScreen
from tui.screens.parameters import ParametersScreen
from tui.textual_app import app_of
from tui.verifying import HOW_TO_ALLOW
from tui.widgets.exchange_view import ExchangeView
from tui.widgets.input_pane import InputEditor, InputPane
from tui.widgets.prompt import Prompt
from tui.widgets.transcript import Transcript

QUIT_AGAIN_S = 3.0


class ChatScreen(AnsweringScreen):
    """The one screen that is always there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *build_bindings(Place.ANYWHERE, priority=True, without=["leave", "quit"]),
        Binding("escape", "leave", "stop", id="leave", show=False),
    ]
    _quit_asked = 0.0

    def current_view(self) -> ExchangeView | None:
        """Return the exchange that has the focus, or else the last one."""
        focused = self.focused
        return focused if isinstance(focused, ExchangeView) else self.query_one(Transcript).last_view()

    def action_leave(self) -> None:
        """Stop the answer; where none is coming, go between prompt and answers."""
        if self.chat.stop():
            return
        prompt = self.query_one(Prompt)
        view = self.query_one(Transcript).last_view()
        if self.focused is prompt and view is not None:
            self.query_one(Transcript).focus_view(view)
        else:
            prompt.focus()

    @work
    async def action_interrupt(self) -> None:
        """Go down the ladder: copy, stop, clear, quit."""
        selected = self._selected_text()
        if selected:
            await copy_to_clipboard(self, selected, "the selection")
            self.clear_selection()
        elif self.chat.stop():
            pass
        elif not self.drafting.current().is_empty:
            self.query_one(Prompt).take()
            self.query_one(InputPane).load("")
            self.query_one(Prompt).focus()
        elif time.monotonic() - self._quit_asked < QUIT_AGAIN_S:
            app_of(self).exit()
        else:
            self._quit_asked = time.monotonic()
            self.tell("press Ctrl+C again to quit")

    def action_toggle_input(self) -> None:
        """Show the input and go there; from there, hide it again."""
        pane = self.query_one(InputPane)
        if not pane.is_shown:
            pane.toggle()
            pane.focus_text()
        elif pane.has_focus_within:
            pane.toggle()
            self.query_one(Prompt).focus()
        else:
            pane.focus_text()

    def action_regenerate(self) -> None:
        """Ask for another answer to the current task."""
        self._act_on_current("again")

    def action_save(self) -> None:
        """Save the code of the current answer."""
        self._act_on_current("save_code")

    def action_copy(self) -> None:
        """Copy the code of the current answer."""
        self._act_on_current("copy_code")

    @work
    async def action_parameters(self) -> None:
        """Ask how the next answers are to be chosen."""
        screen = ParametersScreen(
            self.chat.sampling, self.chat.model or self.chat.active_model, self.services.list_models
        )
        chosen = await app_of(self).push_screen_wait(screen)
        if chosen is None:
            return
        self.chat.sampling = chosen.sampling
        if chosen.model:
            try:
                self.chat.model = await asyncio.to_thread(self.services.use_model, chosen.model)
                self.chat.active_model = chosen.model
            except AssistantError as error:
                app_of(self).notify(error.message, severity="error", markup=False)
        self.show_settings()

    @work
    async def action_test_answers(self) -> None:
        """Test the next answers, or test them no more."""
        verifier = self.chat.verifier
        if verifier is None:
            app_of(self).notify(HOW_TO_ALLOW, severity="warning", timeout=10, markup=False)
            return
        if not self.chat.is_testing:
            try:
                await asyncio.to_thread(verifier.check)
            except AssistantError as error:
                words = f"{error.message}; {error.hint}" if error.hint else error.message
                app_of(self).notify(words, severity="error", timeout=10, markup=False)
                return
        self.chat.is_testing = not self.chat.is_testing
        self.show_settings()
        self.tell(
            "answers are tested where the input has asserts or doctests"
            if self.chat.is_testing
            else "answers are not tested"
        )

    @work
    async def action_conversations(self) -> None:
        """Show all conversations, and resume the one that is chosen."""
        if self.services.open_store is None:
            self.tell("the history is off: `assistant history on` turns it on")
            return
        if self.chat.answering is not None:
            self.tell("an answer is coming: Esc stops it")
            return
        screen = ConversationsScreen(self.services.open_store, self.services.forget)
        exchanges = await app_of(self).push_screen_wait(screen)
        if exchanges:
            await self.resume(exchanges)

    async def action_new_conversation(self) -> None:
        """Begin a new conversation; the one that was is kept."""
        if self.chat.answering is not None:
            self.tell("an answer is coming: Esc stops it")
            return
        await self.resume([])

    def action_edit_outside(self) -> None:
        """Write the task, or the input where the focus is there, in the user's editor."""
        pane, prompt = self.query_one(InputPane), self.query_one(Prompt)
        if pane.has_focus_within:
            edited = self.actions.edit_outside(pane.text, suffix=".txt")
            if edited is not None:
                pane.load(edited, pane.source)
        else:
            edited = self.actions.edit_outside(prompt.text, suffix=".md")
            if edited is not None:
                prompt.load(edited.rstrip("\n"))

    def action_page_up(self) -> None:
        """Scroll the answers up."""
        self.query_one(Transcript).scroll_page_up(animate=False)

    def action_page_down(self) -> None:
        """Scroll the answers down."""
        self.query_one(Transcript).scroll_page_down(animate=False)

    def action_answer_top(self) -> None:
        """Scroll to the top of the current answer."""
        view = self.current_view()
        if view is not None:
            self.query_one(Transcript).show_top(view)

    def action_answers_end(self) -> None:
        """Scroll to the end and follow."""
        self.query_one(Transcript).anchor()

    def action_help(self) -> None:
        """Show all keys."""
        app_of(self).push_screen(HelpScreen(self.services.keymap))

    @on(Prompt.Submitted)
    def _send(self, event: Prompt.Submitted) -> None:
        event.stop()
        if self.chat.waiting is not None:
            self.query_one(Prompt).put_back(event.task)
            self.tell("one task waits already: it is sent after this answer")
            return
        pane = self.query_one(InputPane)
        fault = self.chat.find_fault(event.task, pane.text)
        if fault:
            self.query_one(Prompt).put_back(event.task)
            app_of(self).notify(fault, severity="error", markup=False)
            return
        input_text = pane.text
        pane.load("")
        self.ask(event.task, input_text)

    @on(Prompt.PastedLarge)
    def _take_paste(self, event: Prompt.PastedLarge) -> None:
        event.stop()
        pane = self.query_one(InputPane)
        pane.load(pane.text + event.text, pane.source or "pasted")
        self.tell("the pasted text is long: it is the input now")

    @on(Prompt.FileWanted)
    @work
    async def _pick_file(self, event: Prompt.FileWanted) -> None:
        event.stop()
        picked = await app_of(self).push_screen_wait(
            FilePickerScreen(Path.cwd(), self.query_one(Prompt).take_after_at)
        )
        if picked is None or picked.startswith("@"):
            self.query_one(Prompt).insert(picked or "@")
            return
        try:
            text = await asyncio.to_thread(read_input_file, Path(picked))
        except AssistantError as error:
            app_of(self).notify(error.message, severity="error", markup=False)
            return
        self.query_one(InputPane).load(text, picked)

    @on(Prompt.QuitWanted)
    def _quit(self) -> None:
        app_of(self).exit()

    @on(TextArea.Changed, "#prompt")
    @on(InputPane.Changed)
    def _note_typing(self) -> None:
        self.drafting.note_change()

    @on(InputEditor.PastedLarge)
    def _stop_paste(self, event: InputEditor.PastedLarge) -> None:
        event.stop()

    @on(Transcript.ReachedEnd)
    def _leave_answers(self) -> None:
        self.query_one(Prompt).focus()

    @on(ExchangeView.Wanted)
    @work
    async def _act(self, event: ExchangeView.Wanted) -> None:
        event.stop()
        if event.action in ("previous_answer", "next_answer"):
            step = -1 if event.action == "previous_answer" else 1
            self.query_one(Transcript).go(event.view, step)
        else:
            await self.actions.do(event.action, event.view)

    def _act_on_current(self, action: str) -> None:
        view = self.current_view()
        if view is None:
            self.tell("there is no answer yet")
        else:
            view.action_want(action)

    def _selected_text(self) -> str:
        """Return what is selected, with the mouse anywhere or in what is typed."""
        focused = self.focused
        typed = focused.selected_text if isinstance(focused, TextArea) else ""
        return typed or self.get_selected_text() or ""
