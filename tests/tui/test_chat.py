"""The chat, driven key by key without a terminal, against a generator that says what it is told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import TextArea

from assistant.config import Config
from assistant.drafts import Draft
from assistant.errors import AssistantError, GeneratorLostError
from assistant.generator import ScriptedGenerator
from assistant.history.records import Exchange
from tui.app import ChatApp
from tui.services import Services

CODE = ["Here:\n\n", "```python\n", "def add(a, b):\n", "    return a + b\n", "```\n"]
SOURCE = "def add(a, b):\n    return a + b\n"


class Opened:
    """An app on a screen of its own, what was asked of its generator and what it saved."""

    def __init__(
        self, replies: Iterable[Iterable[str] | AssistantError] = (CODE,), draft: Draft | None = None
    ) -> None:
        self.generator = ScriptedGenerator(replies)
        self.saved: list[Exchange] = []
        self.app = ChatApp(
            Services(
                config=Config(),
                find_generator=lambda _: self.generator,
                save=self.saved.append,
                draft=draft or Draft(),
            )
        )

    def shown(self) -> str:
        """All text on the screen."""
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in lines[:height] if width)

    def prompt(self) -> TextArea:
        return self.app.chat_screen.query_one("#prompt", TextArea)

    def input(self) -> TextArea:
        return self.app.chat_screen.query_one("#input", TextArea)


async def wait_until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, pilot.app.screen
        await pilot.pause(0.01)


async def ask(pilot: Pilot[int], opened: Opened, task: str) -> None:
    before = len(opened.saved)
    await pilot.press(*("space" if c == " " else c for c in task), "enter")
    await wait_until(pilot, lambda: len(opened.saved) > before)
    await pilot.pause()


def test_a_task_is_answered_and_kept() -> None:
    async def run() -> None:
        opened = Opened()
        async with opened.app.run_test(size=(100, 30)) as pilot:
            await ask(pilot, opened, "add two")
            await wait_until(pilot, lambda: "return a + b" in opened.shown())
            assert "parses" in opened.shown()
            assert opened.prompt().text == ""
        assert opened.generator.requests[0].turns[-1].text == "add two"
        assert "return a + b" in opened.saved[-1].answer

    asyncio.run(run())


def test_the_input_goes_along_with_the_task() -> None:
    async def run() -> None:
        opened = Opened(draft=Draft(input="x = 1\n", input_name="x.py"))
        async with opened.app.run_test(size=(100, 30)) as pilot:
            assert opened.input().text == "x = 1\n"
            await ask(pilot, opened, "rename")
        turn = opened.generator.requests[0].turns[-1]
        assert (turn.text, turn.input.strip()) == ("rename", "x = 1")

    asyncio.run(run())


def test_a_new_line_does_not_send() -> None:
    async def run() -> None:
        opened = Opened()
        async with opened.app.run_test(size=(100, 30)) as pilot:
            await pilot.press("a", "ctrl+j", "b")
            assert opened.prompt().text == "a\nb"
        assert opened.generator.requests == []

    asyncio.run(run())


def test_an_empty_task_is_not_sent() -> None:
    async def run() -> None:
        opened = Opened()
        async with opened.app.run_test(size=(100, 30)) as pilot:
            await pilot.press("space", "enter")
            await pilot.pause()
        assert opened.generator.requests == []

    asyncio.run(run())


def test_a_lost_generator_keeps_the_task_and_says_so() -> None:
    async def run() -> None:
        opened = Opened([GeneratorLostError("the generator went away", hint="try again"), CODE])
        async with opened.app.run_test(size=(100, 30)) as pilot:
            await pilot.press("a", "enter")
            await wait_until(pilot, lambda: "went away" in opened.shown())
            assert opened.app.is_running

    asyncio.run(run())


@pytest.mark.parametrize("line", ["print([x for x in y])", 'd["k"] = "[/b]"', "s = '漢字 〽️ [red]'"])
def test_code_that_looks_like_markup_is_shown_as_it_is(line: str) -> None:
    async def run() -> None:
        opened = Opened([["```python\n", line + "\n", "```\n"]])
        async with opened.app.run_test(size=(100, 30)) as pilot:
            await ask(pilot, opened, "x")
            await wait_until(pilot, lambda: line in opened.shown())

    asyncio.run(run())


def test_a_line_of_ten_thousand_characters_is_shown() -> None:
    async def run() -> None:
        opened = Opened([["```python\n", "x = " + "1" * 10_000 + "\n", "```\n"]])
        async with opened.app.run_test(size=(100, 30)) as pilot:
            await ask(pilot, opened, "x")
            await wait_until(pilot, lambda: "1" * 60 in opened.shown())
            assert opened.app.is_running

    asyncio.run(run())


def test_control_characters_never_reach_the_screen() -> None:
    async def run() -> None:
        opened = Opened([["```python\n", "x = '\x1b[31mred\x1b[0m\x00'\n", "```\n"]])
        async with opened.app.run_test(size=(100, 30)) as pilot:
            await ask(pilot, opened, "x")
            await wait_until(pilot, lambda: "red" in opened.shown())
            assert "\x1b" not in opened.shown()
            assert "\x00" not in opened.shown()

    asyncio.run(run())


def test_the_code_is_saved_under_the_name_that_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def run() -> None:
        opened = Opened()
        async with opened.app.run_test(size=(100, 30)) as pilot:
            await ask(pilot, opened, "add")
            await pilot.press("ctrl+s")
            await wait_until(pilot, lambda: opened.app.screen is not opened.app.chat_screen)
            await pilot.press("ctrl+a", "ctrl+k", *"out.py", "enter")
            await wait_until(pilot, lambda: (tmp_path / "out.py").exists())
        assert (tmp_path / "out.py").read_text(encoding="utf-8") == SOURCE

    asyncio.run(run())


@pytest.mark.parametrize("size", [(20, 5), (60, 15), (200, 60)])
def test_every_size_of_terminal_works(size: tuple[int, int]) -> None:
    async def run() -> None:
        opened = Opened()
        async with opened.app.run_test(size=size) as pilot:
            await ask(pilot, opened, "add")
            await pilot.resize_terminal(80, 24)
            await wait_until(pilot, lambda: "return a + b" in opened.shown())

    asyncio.run(run())


def test_the_help_lists_the_keys() -> None:
    async def run() -> None:
        opened = Opened()
        async with opened.app.run_test(size=(100, 40)) as pilot:
            await pilot.press("f1")
            await wait_until(pilot, lambda: "Send the task." in opened.shown())
            await pilot.press("escape")
            await wait_until(pilot, lambda: opened.app.screen is opened.app.chat_screen)

    asyncio.run(run())


def test_ctrl_q_quits() -> None:
    async def run() -> None:
        opened = Opened()
        async with opened.app.run_test(size=(100, 30)) as pilot:
            await pilot.press("ctrl+q")
            await pilot.pause()
            assert not opened.app.is_running

    asyncio.run(run())
