"""All conversations: search them, resume one, rename, export or delete it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ClassVar, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Footer, Input, OptionList
from textual.widgets.option_list import Option

from assistant.errors import AssistantError
from assistant.history.export import render_markdown, render_python
from assistant.history.records import Conversation, Exchange
from assistant.history.store import History
from tui import saving
from tui.bindings import build_bindings
from tui.keys import Place
from tui.reading import read_answer
from tui.reports import count_of, render_verdict
from tui.screens.ask_text import AskTextScreen
from tui.screens.confirm import ConfirmScreen
from tui.shown import first_lines, shown_text
from tui.textual_app import app_of
from tui.widgets.plain import PlainStatic
from tui.widgets.typing_order import LineInput

SEARCH_AFTER_S = 0.15
LISTED = 200
Value = TypeVar("Value")


class ConversationsScreen(Screen[list[Exchange] | None]):
    """Lists conversations. Left with the exchanges of the one to resume, or with None.

    Args:
        open_store: Opens the history, on the thread that uses it.
        forget: Told of a conversation before it is deleted.
    """

    DEFAULT_CSS = """
    ConversationsScreen {
        Input { border: none; height: 1; margin: 0 1; background: $boost; }
        OptionList { height: 1fr; border: none; }
        #preview { height: 40%; border-top: solid $border; padding: 0 1; }
        &.-short #preview { display: none; }
        #count { height: 1; color: $text-muted; padding: 0 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *build_bindings(Place.CONVERSATIONS, priority=False, without=["resume"]),
        Binding("ctrl+c", "close", "back", show=False, priority=True),
        Binding("ctrl+l", "close", "back", show=False, priority=True),
    ]

    def __init__(self, open_store: Callable[[], History], forget: Callable[[str], None]) -> None:
        super().__init__()
        self._open_store = open_store
        self._forget = forget
        self._rows: list[Conversation] = []
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Lay out the search, the list and the preview."""
        yield LineInput(placeholder="/ searches all tasks, inputs and answers", id="search")
        yield OptionList(id="list")
        yield PlainStatic(id="count")
        with VerticalScroll(id="preview", can_focus=False):
            yield PlainStatic(id="preview-text")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """List everything."""
        self.query_one(OptionList).focus()
        self.show_rows()

    @work(exclusive=True, group="rows")
    async def show_rows(self) -> None:
        """Ask the history for what is searched for, or for all."""
        words = self.query_one(Input).value.strip()
        options = self.query_one(OptionList)
        if words:
            matches = await self._ask(lambda history: history.search(words, limit=LISTED)) or []
            snippets = {match.conversation.id: match.snippet for match in reversed(matches)}
            rows = list({match.conversation.id: match.conversation for match in matches}.values())
        else:
            rows = await self._ask(lambda history: history.list_conversations(limit=LISTED)) or []
            snippets = {}
        number = options.highlighted or 0
        self._rows = rows
        options.clear_options()
        options.add_options([Option(_paint_row(row, snippets.get(row.id, ""))) for row in rows])
        options.highlighted = min(number, len(rows) - 1) if rows else None
        count = (
            count_of(len(rows), "conversation")
            if rows
            else "nothing is stored yet"
            if not words
            else "nothing found"
        )
        self.query_one("#count", PlainStatic).show(count, layout=False)
        if not rows:
            self.query_one("#preview-text", PlainStatic).show("")

    @on(Input.Changed)
    def _search_soon(self, event: Input.Changed) -> None:
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(SEARCH_AFTER_S, self.show_rows)

    @on(Input.Submitted)
    def _go_to_list(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(OptionList).focus()

    @on(OptionList.OptionHighlighted)
    def _preview(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.show_preview()

    @work(exclusive=True, group="preview")
    async def show_preview(self) -> None:
        """Show the beginning of the conversation under the cursor."""
        row = self._current()
        if row is None:
            return
        exchanges = await self._ask(lambda history: history.read_exchanges(row.id)) or []
        parts = [_describe(exchange) for exchange in exchanges[-5:]]
        self.query_one("#preview-text", PlainStatic).show("\n\n".join(parts))

    @on(OptionList.OptionSelected)
    @work
    async def resume(self, event: OptionList.OptionSelected) -> None:
        """Leave with the conversation."""
        event.stop()
        row = self._rows[event.option_index]
        exchanges = await self._ask(lambda history: history.read_exchanges(row.id))
        if exchanges:
            self.dismiss(exchanges)

    def action_search(self) -> None:
        """Go to the search."""
        self.query_one(Input).focus()

    def action_close(self) -> None:
        """Go back to the chat; from the search, to the list first."""
        search = self.query_one(Input)
        if search.has_focus and search.value:
            search.value = ""
            self.query_one(OptionList).focus()
        else:
            self.dismiss(None)

    @work
    async def action_rename(self) -> None:
        """Ask for another title."""
        row = self._current()
        if row is None:
            return
        title = await app_of(self).push_screen_wait(AskTextScreen("Another title", row.title))
        if title and title.strip():
            await self._ask(lambda history: history.rename(row.id, title.strip()))
            self.show_rows()

    @work
    async def action_export(self) -> None:
        """Ask for a file and write the conversation to it."""
        row = self._current()
        if row is None:
            return
        app = app_of(self)
        question = AskTextScreen(
            "Export to",
            saving.free_name("conversation.md"),
            find_fault=saving.find_fault,
            note="A name that ends in .py gets the code alone; any other, Markdown.",
        )
        line = await app.push_screen_wait(question)
        if line is None:
            return
        path = saving.target_of(line)
        if path.exists() and not await app.push_screen_wait(
            ConfirmScreen(f"{path} exists. Replace it?", "What is in it now is lost.", yes="Replace")
        ):
            return
        exchanges = await self._ask(lambda history: history.read_exchanges(row.id)) or []
        text = render_python(exchanges) if path.suffix == ".py" else render_markdown(row, exchanges)
        fault = await asyncio.to_thread(saving.save_text, path, text)
        app.notify(fault or f"exported to {path}", severity="error" if fault else "information", markup=False)

    @work
    async def action_delete(self) -> None:
        """Ask, then delete."""
        row = self._current()
        if row is None:
            return
        question = ConfirmScreen(f"Delete “{row.title}”?", "It cannot be brought back.", yes="Delete")
        if await app_of(self).push_screen_wait(question):
            self._forget(row.id)
            await self._ask(lambda history: history.delete(row.id))
            self.show_rows()

    def _current(self) -> Conversation | None:
        number = self.query_one(OptionList).highlighted
        return self._rows[number] if number is not None and number < len(self._rows) else None

    async def _ask(self, question: Callable[[History], Value]) -> Value | None:
        """Ask the history on another thread; say what is wrong with it, and return None then."""

        def ask() -> Value:
            with self._open_store() as history:
                return question(history)

        try:
            return await asyncio.to_thread(ask)
        except AssistantError as error:
            app_of(self).notify(error.message, severity="error", markup=False)
            return None


def _paint_row(row: Conversation, snippet: str) -> Content:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.changed))
    title = shown_text(" ".join(row.title.split())) or "untitled"
    head = Content.assemble((f"{when}  ", "dim"), title, (f"  {row.exchanges}", "dim"))
    return (
        Content("\n").join([head, Content.styled(f"    {shown_text(snippet)}", "dim")]) if snippet else head
    )


def _describe(exchange: Exchange) -> str:
    reading = read_answer(exchange.answer)
    verdict = render_verdict(
        exchange,
        parses=reading.parses,
        syntax_error=reading.syntax_error,
        has_code=bool(reading.code.strip()),
    )
    return f"▌ {first_lines(exchange.task, 3)}\n{first_lines(exchange.answer, 12)}\n{verdict}"
