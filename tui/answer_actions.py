"""What can be done with an answer: it is copied, saved, edited, compared, run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from textual.app import SuspendNotSupported
from textual.notifications import SeverityLevel
from textual.screen import Screen

from assistant.errors import AssistantError
from assistant.history.records import Exchange
from tui import editor, saving
from tui.chat import Chat
from tui.copying import copy_to_clipboard
from tui.reading import read_answer
from tui.running import Runner
from tui.screens.ask_text import AskTextScreen
from tui.screens.confirm import ConfirmScreen
from tui.screens.diff import DiffScreen
from tui.screens.run import RunScreen
from tui.textual_app import app_of
from tui.widgets.exchange_view import ExchangeView
from tui.widgets.input_pane import InputPane
from tui.widgets.prompt import Prompt


class AnswerActions:
    """The actions on one answer.

    Args:
        screen: The chat's screen; it has a prompt and an input pane.
        chat: The conversation.
        runner: Runs code.
        again: Asks for another answer to an exchange's task.
    """

    def __init__(
        self, screen: Screen[None], chat: Chat, runner: Runner, again: Callable[[Exchange], None]
    ) -> None:
        self._screen = screen
        self._chat = chat
        self._runner = runner
        self._again = again

    async def do(self, action: str, view: ExchangeView) -> None:
        """Do an action of `Place.ANSWER` by its name."""
        match action:
            case "copy_code":
                await self.copy_code(view)
            case "copy_answer":
                await copy_to_clipboard(self._screen, view.exchange.answer, "the whole answer")
            case "save_code":
                await self.save_code(view)
            case "open_editor":
                await self.open_editor(view)
            case "refine":
                self.refine(view)
            case "edit_task":
                self.edit_task(view)
            case "again":
                self._again(view.exchange)
            case "diff_previous":
                self.diff_previous(view)
            case "diff_input":
                self.diff_input(view)
            case "run":
                await self.run(view)
            case _:
                raise ValueError(action)

    async def copy_code(self, view: ExchangeView) -> None:
        """Copy the code alone."""
        if self._has_code(view):
            await copy_to_clipboard(self._screen, view.reading.code, "the code")

    async def save_code(self, view: ExchangeView) -> None:
        """Ask for a file and write the code to it; over another file only after a question."""
        if not self._has_code(view):
            return
        app = app_of(self._screen)
        question = AskTextScreen("Save the code to", saving.free_name(), find_fault=saving.find_fault)
        line = await app.push_screen_wait(question)
        if line is None:
            return
        path = saving.target_of(line)
        if os.path.lexists(path) and not await app.push_screen_wait(
            ConfirmScreen(f"{path} exists. Replace it?", "What is in it now is lost.", yes="Replace")
        ):
            return
        fault = await asyncio.to_thread(saving.save_text, path, view.reading.code)
        if fault:
            self._tell(fault, severity="error")
        else:
            self._tell(f"saved to {path}")

    async def open_editor(self, view: ExchangeView) -> None:
        """Open the code in the editor; what is changed there becomes the input of the next task."""
        if not self._has_code(view):
            return
        code = view.reading.code
        edited = self.edit_outside(code, suffix=".py")
        if edited is not None and edited != code:
            self._screen.query_one(InputPane).load(edited, "the edited answer")
            self._screen.query_one(Prompt).focus()
            self._tell("the edited code is the input now")

    def refine(self, view: ExchangeView) -> None:
        """Make the code the input of the next task."""
        if not self._has_code(view):
            return
        self._screen.query_one(InputPane).load(view.reading.code, "the answer")
        self._screen.query_one(Prompt).focus()
        self._tell("the code is the input now: say what should change")

    def edit_task(self, view: ExchangeView) -> None:
        """Bring task and input back to where they are typed."""
        prompt = self._screen.query_one(Prompt)
        prompt.take()
        prompt.load(view.exchange.task)
        self._screen.query_one(InputPane).load(view.exchange.input)
        prompt.focus()

    def diff_previous(self, view: ExchangeView) -> None:
        """Compare with the answer before."""
        before = self._chat.session.find_before(view.exchange)
        if before is None:
            self._tell("there is no answer before this one", severity="warning")
            return
        old = read_answer(before.answer).code
        self._show_diff("The answer before → this one", old, view)

    def diff_input(self, view: ExchangeView) -> None:
        """Compare with the input."""
        if not view.exchange.input:
            self._tell("this task had no input", severity="warning")
            return
        self._show_diff("The input → this answer", view.exchange.input, view)

    async def run(self, view: ExchangeView) -> None:
        """Run the code, when the user says so with all of it in sight."""
        if not self._has_code(view):
            return
        app = app_of(self._screen)
        try:
            caution = await asyncio.to_thread(self._runner.find_caution)
        except AssistantError as error:
            self._tell(f"{error.message}\n{error.hint}", severity="error")
            return
        question = ConfirmScreen(f"Run this code? {caution}", view.reading.code, yes="Run it")
        if await app.push_screen_wait(question):
            app.push_screen(RunScreen(self._runner, view.reading.code))

    def edit_outside(self, text: str, *, suffix: str) -> str | None:
        """Let the user's editor have the terminal; return the text as it is then, or None."""
        app = app_of(self._screen)
        try:
            command = editor.find_editor()
            with app.suspend():
                return editor.edit_text(text, suffix=suffix, command=command)
        except AssistantError as error:
            self._tell(f"{error.message}; {error.hint}" if error.hint else error.message, severity="error")
        except SuspendNotSupported:
            self._tell("this terminal cannot be handed to an editor", severity="error")
        return None

    def _show_diff(self, title: str, old: str, view: ExchangeView) -> None:
        new = view.reading.code or view.exchange.answer
        app_of(self._screen).push_screen(DiffScreen(title, old.rstrip("\n"), new.rstrip("\n")))

    def _has_code(self, view: ExchangeView) -> bool:
        has_code = bool(view.reading.code.strip())
        if not has_code:
            self._tell("there is no code in this answer", severity="warning")
        return has_code

    def _tell(self, text: str, *, severity: SeverityLevel = "information") -> None:
        app_of(self._screen).notify(text, severity=severity, markup=False)
