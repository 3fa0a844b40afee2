"""The chat's screen as far as it follows answers: what comes is shown, and what ends is kept. No keys."""

from __future__ import annotations

import asyncio
import time

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Footer

from assistant.drafts import Draft
from assistant.errors import AssistantError
from assistant.history.records import Exchange, Outcome
from tui.answer_actions import AnswerActions
from tui.chat import FRESH_TEMPERATURE, Chat, Waiting
from tui.drafting import Drafting
from tui.preparing import NotPrepared, Prepared, Preparing, Reported
from tui.recall import Recall
from tui.reports import render_loading, render_progress, render_sampling
from tui.services import Services
from tui.streaming import pause_for
from tui.textual_app import app_of
from tui.widgets.input_pane import InputPane
from tui.widgets.prompt import Prompt
from tui.widgets.status_line import StatusLine
from tui.widgets.transcript import Transcript

ASK_AGAIN = "Ctrl+R asks again"


class AnsweringScreen(Screen[None]):
    """Prompt, input and answers.

    Args:
        services: What it works with.
        chat: The conversation behind it.
    """

    DEFAULT_CSS = """
    AnsweringScreen {
        #composer { height: auto; max-height: 60%; }
        &.-short Footer, &.-tiny Footer { display: none; }
        &.-short #composer { max-height: 75%; }
        &.-short Prompt { max-height: 5; }
        &.-tiny Prompt { border: none; min-height: 1; max-height: 2; padding: 0; }
        &.-short InputPane { max-height: 6; }
        &.-tiny #input-title { display: none; }
    }
    """

    def __init__(self, services: Services, chat: Chat) -> None:
        super().__init__()
        self.services = services
        """What it works with."""
        self._rest = ("ready", "")
        self._following = asyncio.Lock()
        self.chat = chat
        """The conversation."""
        self.recall = Recall()
        """Earlier tasks, for ↑."""
        self.actions = AnswerActions(self, chat, services.runner, self.ask_again)
        """What can be done with an answer."""
        self.drafting = Drafting(self, services.keeper)
        """Saves what is typed."""
        self.preparing = Preparing(self, services.prepare)
        """Brings the generator up."""

    def compose(self) -> ComposeResult:
        """Lay out answers, input, prompt and status."""
        yield Transcript()
        with Vertical(id="composer"):
            yield InputPane()
            yield Prompt(self.recall)
        yield StatusLine()
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Begin with what is to stand in the prompt; bring the generator up meanwhile."""
        self.drafting.show(self.services.draft)
        self.query_one(Prompt).focus()
        self.show_settings()
        self.rest("ready")
        self.preparing.start()
        self.begin_slowly()

    @work
    async def begin_slowly(self) -> None:
        """Do what the first picture does not need: read the disk."""
        await self.drafting.adopt()
        self.recall.extend(await asyncio.to_thread(self._read_tasks))

    def ask(self, task: str, input_text: str) -> None:
        """Send a task, or have it wait for the answer that is coming."""
        if self.chat.answering is None:
            self.follow(self.chat.ask(task, input_text))
        else:
            self.chat.waiting = Waiting(task=task, input=input_text)

    def ask_again(self, exchange: Exchange) -> None:
        """Ask for another answer to a task."""
        if self.chat.answering is not None:
            self.tell("an answer is coming: Esc stops it")
            return
        if not self.chat.sampling.temperature:
            self.tell(f"at temperature {FRESH_TEMPERATURE:g}, as 0 would give the same answer")
        self.follow(self.chat.ask_again(exchange))

    @work(group="follow")
    async def follow(self, exchange: Exchange) -> None:
        """Show an answer, once the one before it is shown whole."""
        async with self._following:
            await self._follow(exchange)

    async def _follow(self, exchange: Exchange) -> None:
        """Show an answer while it comes, on a clock whose pace is set by what showing costs."""
        view = await self.query_one(Transcript).add(exchange)
        ended: Exchange | None = None
        while ended is None:
            began = time.monotonic()
            view.show_more(self.chat.advance())
            answering = self.chat.answering
            if answering is not None:
                self._show_progress(render_progress(answering.progress()))
            await self._refreshed()
            ended = self.chat.end_answer()
            if ended is None:
                await asyncio.sleep(pause_for(time.monotonic() - began))
        await view.freeze(ended, self.chat.find_finding(ended))
        self._take_end(ended)

    async def resume(self, exchanges: list[Exchange]) -> None:
        """Go over to another conversation: a new one, where there are no exchanges."""
        self.chat.begin_conversation(exchanges)
        await self.query_one(Transcript).show_all(exchanges)
        self.query_one(Prompt).focus()

    def rest(self, text: str, severity: str = "") -> None:
        """Say how things stand while no answer is coming."""
        self._rest = (text, severity)
        if self.chat.answering is None:
            self.query_one(StatusLine).show_state(text, severity=severity)

    def show_settings(self) -> None:
        """Say which model will answer, and how."""
        parts = [self.chat.model or self.chat.active_model, render_sampling(self.chat.sampling)]
        parts += ["tested"] if self.chat.is_testing else []
        self.query_one(StatusLine).show_settings(" · ".join(filter(None, parts)))

    def tell(self, text: str) -> None:
        """Say something in passing."""
        app_of(self).notify(text, markup=False)

    @on(Reported)
    def _show_loading(self, event: Reported) -> None:
        self.rest(render_loading(event.loading))

    @on(Prepared)
    def _take_model(self, event: Prepared) -> None:
        self.chat.active_model = event.model
        self.show_settings()
        self.rest("ready")

    @on(NotPrepared)
    def _show_failure(self, event: NotPrepared) -> None:
        self.rest(_words(event.error), "error")

    def _show_progress(self, text: str) -> None:
        waiting = " · one task waits" if self.chat.waiting else ""
        self.query_one(StatusLine).show_state(f"{text}{waiting} · Esc stops")

    def _take_end(self, exchange: Exchange) -> None:
        """Go on after an answer. What was typed comes back where nothing came of it."""
        waiting, self.chat.waiting = self.chat.waiting, None
        is_good = exchange.outcome in (Outcome.STOP, Outcome.LENGTH)
        if exchange.model:
            self.chat.active_model = exchange.model
            self.show_settings()
        if is_good and waiting is not None:
            self.ask(waiting.task, waiting.input)
            return
        lost = waiting or Waiting(task=exchange.task, input=exchange.input)
        if not is_good and self.drafting.current().is_empty:
            self.drafting.show(Draft(task=lost.task, input=lost.input))
        if exchange.outcome is Outcome.FAILED:
            self.rest(f"{ASK_AGAIN} · {exchange.error}", "error")
        else:
            self.rest("stopped; what came is kept" if exchange.outcome is Outcome.CANCELLED else "ready")

    def _read_tasks(self) -> list[str]:
        if self.services.open_store is None:
            return []
        try:
            with self.services.open_store() as history:
                return history.recent_tasks()
        except AssistantError as error:
            app = app_of(self)
            app.call_from_thread(app.notify, error.message, severity="warning", markup=False)
            return []

    async def _refreshed(self) -> None:
        """Wait until what was changed is on the screen."""
        done = asyncio.Event()
        self.call_after_refresh(done.set)
        await done.wait()


def _words(error: AssistantError) -> str:
    return f"{error.message} · {error.hint}" if error.hint else error.message
