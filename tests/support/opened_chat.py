"""The chat on a screen of its own, driven key by key, with a generator that says what it is told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any

from textual.events import Key
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import TextArea

from assistant.config import Config
from assistant.drafts import DraftKeeper
from assistant.errors import AssistantError
from assistant.generator import EventStream, ScriptedGenerator, TextGenerator
from assistant.history.records import Exchange
from assistant.history.store import History, open_history
from assistant.requests import Done, Event, FinishReason, Request, Started, Token, Usage
from tui.app import ChatApp
from tui.services import Prepare, Services
from tui.widgets.exchange_view import ExchangeView
from tui.widgets.transcript import Transcript

CODE = ["Here:\n\n", "```python\n", "def add(a, b):\n", "    return a + b\n", "```\n"]
SOURCE = "def add(a, b):\n    return a + b\n"
PATIENCE_S = 20.0


class Measured:
    """A generator whose answer always takes the same time: for pictures."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = list(pieces)

    def stream(self, request: Request) -> EventStream:
        usage = Usage(prompt_tokens=10, completion_tokens=42)
        done = Done(
            finish_reasons=(FinishReason.STOP,),
            usage=usage,
            model="smollm2",
            seconds=1.5,
            tokens_per_s=28.0,
        )
        tokens = [Token(text=piece) for piece in self._pieces]
        return _Fixed([Started(request_id="1", model="smollm2"), *tokens, done])


class _Fixed:
    def __init__(self, events: Iterable[Event]) -> None:
        self._events = iter(events)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        pass


class OpenedChat:
    """An app, what was asked of its generator and what it saved.

    Args:
        replies: What the generator says, as `ScriptedGenerator` takes it.
        generator: Another generator.
        history: A directory for a real history; None for none.
        drafts: A directory for real drafts; None for none.
        config: The settings.
        prepare: What brings the generator up.
        **services: More of `Services`.
    """

    def __init__(
        self,
        replies: Iterable[Iterable[str] | AssistantError] = (CODE,),
        *,
        generator: TextGenerator | None = None,
        history: Path | None = None,
        drafts: Path | None = None,
        config: Config | None = None,
        prepare: Prepare | None = None,
        **services: Any,
    ) -> None:
        self.scripted = ScriptedGenerator(replies)
        self.saved: list[Exchange] = []
        self._history = history
        self.app = ChatApp(
            Services(
                config=config or Config(),
                find_generator=lambda _: generator or self.scripted,
                save=self._save,
                open_store=self.open_history if history else None,
                keeper=DraftKeeper(drafts) if drafts else None,
                prepare=prepare,
                **services,
            )
        )
        self.pilot: Pilot[int]

    def _save(self, exchange: Exchange) -> None:
        self.saved.append(exchange)
        if self._history is not None:
            with self.open_history() as history:
                history.save_exchange(exchange)

    def open_history(self) -> History:
        assert self._history is not None
        return open_history(self._history / "history" / "history.db")

    def shown(self) -> str:
        """All text on the screen."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in lines[:height] if width)

    def prompt(self) -> TextArea:
        return self.app.chat_screen.query_one("#prompt", TextArea)

    def input(self) -> TextArea:
        return self.app.chat_screen.query_one("#input", TextArea)

    def views(self) -> list[ExchangeView]:
        return self.app.chat_screen.query_one(Transcript).views()

    def is_in_chat(self) -> bool:
        return self.app.screen is self.app.chat_screen

    async def press(self, *keys: str) -> None:
        """Press keys and wait until what they ask for is done."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type a text at once, as a terminal hands over what is typed fast."""
        driver = self.app._driver
        assert driver is not None
        for character in text:
            is_end = character == "\n"
            key = Key("ctrl+j" if is_end else _character_to_key(character), None if is_end else character)
            key.set_sender(self.app)
            driver.send_message(key)
        await self.pilot.pause()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.shown()
            await self.pilot.pause(0.01)

    async def until_shown(self, text: str) -> None:
        await self.until(lambda: text in self.shown())

    async def ask(self, task: str) -> None:
        """Send a task and wait for the end of its answer."""
        await self.type(task)
        await self.press("enter")
        await self.until_answered()

    async def until_answered(self) -> None:
        """Wait until no answer is coming and what has come is frozen."""
        await self.until(lambda: self.app.chat.answering is None and not self.is_showing())

    def is_showing(self) -> bool:
        return any(worker.group == "follow" and not worker.is_finished for worker in self.app.workers)


Play = Callable[[OpenedChat], Coroutine[Any, Any, None]]


def play(opened: OpenedChat, run: Play, *, size: tuple[int, int] = (100, 30)) -> OpenedChat:
    """Open the chat, let something happen in it, close it."""

    async def drive() -> None:
        async with opened.app.run_test(size=size, notifications=True) as pilot:
            opened.pilot = pilot
            await pilot.pause()
            await run(opened)
            opened.app.exit()
        opened.app.close()

    asyncio.run(drive())
    return opened
