"""Draws docs/tui.svg from a real run: `ASSISTANT_HOME=HOME python docs/capture/chat_picture.py`.

HOME has a model; it answers, and Textual takes the picture of its own screen.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from assistant.config import ChatSettings, Config
from tui import readiness
from tui.app import ChatApp
from tui.services import Services
from tui.widgets.prompt import Prompt

PICTURE = Path(__file__).resolve().parents[1] / "tui.svg"
TASKS = [
    "Convert a temperature from Fahrenheit to Celsius",
    "Write a function that returns the n-th Fibonacci number",
]
NEXT = "now with a docstring"
SIZE = (100, 34)
PATIENCE_S = 120


async def main() -> None:
    """Ask, wait for the answer and take the picture."""
    config = Config(chat=ChatSettings(earlier_turns=0))  # two questions, not a conversation
    app = ChatApp(
        Services(
            config=config,
            find_generator=readiness.Generators(config).find,
            save=lambda exchange: None,
            prepare=readiness.build_prepare(config),
        )
    )
    async with app.run_test(size=SIZE) as pilot:
        await wait(pilot, lambda: bool(app.chat.active_model))
        for task in TASKS:
            app.chat_screen.query_one(Prompt).load(task)
            await pilot.press("enter")
            await wait(pilot, lambda: app.chat.answering is not None)
            await wait(pilot, lambda: app.chat.answering is None)
        app.chat_screen.query_one(Prompt).load(NEXT)
        await pilot.pause(1)
        app.save_screenshot(PICTURE.name, str(PICTURE.parent))
        app.exit()


async def wait(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            sys.exit("it took too long")
        await pilot.pause(0.05)


if __name__ == "__main__":
    asyncio.run(main())
