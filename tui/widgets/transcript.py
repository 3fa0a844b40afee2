"""The answers of a conversation, one below the other. Only the last ones are on the screen at all."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Button

from assistant.history.records import Exchange
from tui.widgets.exchange_view import ExchangeView
from tui.widgets.plain import PlainStatic

MOUNTED_AT_MOST = 20
"""What is on the screen costs at every key press and every change of focus."""
MORE_AT_ONCE = 10
WELCOME = """\
Say below what the code should do, and press Enter.
Ctrl+J begins a new line.

Ctrl+T opens the input: data or code that it is about.
Paste it, type it, or find a file with @.
Tab goes to an answer: y copies, s saves, x runs it.
F1 shows all keys, Ctrl+P all commands, Ctrl+Q quits.
"""


class Transcript(VerticalScroll, can_focus=False):
    """Shows exchanges and follows the last one while the reader is at the end."""

    DEFAULT_CSS = """
    Transcript {
        height: 1fr;
        padding: 0 1;
        #welcome { color: $text-muted; padding: 1 2; }
        #more { width: 100%; display: none; height: 1; border: none; min-width: 10; }
        #more.shown { display: block; }
    }
    """

    class ReachedEnd(Message):
        """The reader went on from the last answer."""

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self._earlier: list[Exchange] = []

    def compose(self) -> ComposeResult:
        """Begin with the welcome."""
        yield Button("", id="more")
        yield PlainStatic(WELCOME, id="welcome")

    def on_mount(self) -> None:
        """Follow from the start."""
        self.anchor()

    def views(self) -> list[ExchangeView]:
        """Return what is on the screen, oldest first."""
        return list(self.query_children(ExchangeView))

    def last_view(self) -> ExchangeView | None:
        """Return the newest, or None."""
        views = self.views()
        return views[-1] if views else None

    async def show_all(self, exchanges: Sequence[Exchange]) -> None:
        """Show another conversation."""
        self._earlier = list(exchanges[:-MOUNTED_AT_MOST])
        with self.app.batch_update():  # pyright: ignore[reportUnknownMemberType]
            await self.query_children(ExchangeView).remove()
            await self.mount_all([ExchangeView(exchange) for exchange in exchanges[-MOUNTED_AT_MOST:]])
        self._describe()
        self.anchor()

    async def add(self, exchange: Exchange) -> ExchangeView:
        """Show one more exchange, whose answer is about to come, and follow it."""
        view = ExchangeView(exchange, is_live=True)
        await self.mount(view)
        views = self.views()
        for old in views[: max(len(views) - MOUNTED_AT_MOST, 0)]:
            self._earlier.append(old.exchange)
            await old.remove()
        self._describe()
        self.anchor()
        return view

    async def on_button_pressed(self, event: Button.Pressed) -> None:
        """Show some earlier exchanges again; the reader stays where they were."""
        event.stop()
        more, self._earlier = self._earlier[-MORE_AT_ONCE:], self._earlier[:-MORE_AT_ONCE]
        first = next(iter(self.views()), None)
        await self.mount_all([ExchangeView(exchange) for exchange in more], after=self.query_one("#more"))
        self._describe()
        if first is not None:
            self.call_after_refresh(self.scroll_to_widget, first, animate=False, top=True)

    def go(self, view: ExchangeView, step: int) -> None:
        """Focus the exchange so many below one; past the last, say so."""
        views = self.views()
        target = views.index(view) + step
        if target >= len(views):
            self.post_message(self.ReachedEnd())
        elif target >= 0:
            self.focus_view(views[target])

    def focus_view(self, view: ExchangeView) -> None:
        """Go to an exchange. The end of an answer that fills the screen is where its reader looks first."""
        view.focus(scroll_visible=False)
        if view is self.last_view():
            self.anchor()
        else:
            self.scroll_to_widget(view, animate=False, top=True)

    def show_top(self, view: ExchangeView) -> None:
        """Scroll to the beginning of an exchange."""
        self.release_anchor()
        self.scroll_to_widget(view, animate=False, top=True, force=True)

    def _describe(self) -> None:
        more = self.query_one("#more", Button)
        more.label = f"▲ {len(self._earlier)} earlier"
        more.set_class(bool(self._earlier), "shown")
        self.query_one("#welcome").display = not self.views()
