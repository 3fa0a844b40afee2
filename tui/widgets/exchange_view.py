"""A task with its answer. It can be focused; its keys ask for what can be done with the answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from assistant.history.records import Exchange
from tui.bindings import build_bindings
from tui.keys import Place
from tui.reading import Reading, read_answer
from tui.reports import render_numbers, render_verdict
from tui.shown import describe_size, first_lines
from tui.verifying import Finding
from tui.widgets.answer_view import AnswerView
from tui.widgets.live_answer import LiveAnswer
from tui.widgets.plain import PlainStatic

TASK_LINES = 12
INPUT_LINES = 4


class ExchangeView(Vertical, can_focus=True):
    """Shows one exchange.

    Args:
        exchange: It.
        is_live: Its answer is still coming.
    """

    DEFAULT_CSS = """
    ExchangeView {
        height: auto;
        margin: 0 0 1 0;
        border-left: thick transparent;
        &:focus { border-left: thick $accent; }
        .task { text-style: bold; padding: 0 1; color: $text-primary; }
        .input { padding: 0 1 0 3; color: $text-muted; }
        .verdict { padding: 0 1; color: $text-muted; height: auto; }
        .verdict.bad { color: $text-warning; }
        &:ansi .input, &:ansi .verdict { text-style: dim; }
    }
    """
    BINDINGS = build_bindings(Place.ANSWER, priority=False, as_argument_of="want")

    @dataclass
    class Wanted(Message):
        """The user wants something done with this exchange."""

        action: str
        """The name of an action of `Place.ANSWER`."""
        view: ExchangeView

    def __init__(self, exchange: Exchange, *, is_live: bool = False) -> None:
        super().__init__()
        self.exchange = exchange
        self.reading: Reading = read_answer(exchange.answer)
        """The answer, taken apart."""
        self._finding: Finding | None = None
        self._live = LiveAnswer() if is_live else None

    def compose(self) -> ComposeResult:
        """Lay out the task, the input's beginning, the answer and what is to be said about it."""
        yield PlainStatic(first_lines(self.exchange.task, TASK_LINES), classes="task")
        if self.exchange.input:
            about = f"input · {describe_size(self.exchange.input)}\n"
            yield PlainStatic(about + first_lines(self.exchange.input, INPUT_LINES), classes="input")
        yield self._live or AnswerView(self.reading)
        verdict = PlainStatic("" if self._live else self._verdict(), classes="verdict")
        verdict.set_class(self._is_bad(), "bad")
        yield verdict

    def show_more(self, text: str) -> None:
        """Show some more of an answer that is coming; nothing where the screen goes away already."""
        if self._live is not None and self._live.is_attached:
            self._live.show_more(text)

    async def freeze(self, exchange: Exchange, finding: Finding | None = None) -> None:
        """Show the whole answer from its whole text; it has come to its end.

        Args:
            exchange: The exchange with its answer.
            finding: What tests showed of it; None where it was not tested.
        """
        self.exchange = exchange
        self._finding = finding
        self.reading = await asyncio.to_thread(read_answer, exchange.answer)
        if not self.is_attached:  # the program ends
            return
        verdict = self.query_one(".verdict", PlainStatic)
        if self._live is not None:
            with self.app.batch_update():  # pyright: ignore[reportUnknownMemberType]
                await self.mount(AnswerView(self.reading), before=self._live)
                await self._live.remove()
            self._live = None
        verdict.set_class(self._is_bad(), "bad")
        verdict.show(self._verdict())

    def _verdict(self) -> str:
        reading = self.reading
        verdict = render_verdict(
            self.exchange,
            parses=reading.parses,
            syntax_error=reading.syntax_error,
            has_code=bool(reading.code.strip()),
        )
        tested = self._finding.statement if self._finding is not None else ""
        return " · ".join(filter(None, [tested, verdict, render_numbers(self.exchange)]))

    def _is_bad(self) -> bool:
        is_whole = self.exchange.outcome.value == "stop"
        has_failed = self._finding is not None and not self._finding.is_verified
        return self._live is None and (has_failed or not (is_whole and self.reading.parses))

    def action_want(self, action: str) -> None:
        """Ask for something to be done with this exchange."""
        self.post_message(self.Wanted(action, self))
