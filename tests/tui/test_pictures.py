"""What the screens look like, at two sizes. `pytest --snapshot-update` takes the pictures anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opened_chat import CODE, SOURCE, Measured, OpenedChat, Play
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from assistant.errors import GeneratorLostError
from assistant.history.records import Exchange, Outcome
from assistant.requests import Loading
from assistant.sandbox.bubblewrap import Bubblewrap
from tui.running import SandboxRunner
from tui.services import Report

SIZES = [(60, 15), (100, 30)]
Compare = Callable[..., bool]
OLD = "def add(a, b):\n    return b + a\n"


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Pictures show dates and the directory's files."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.chdir(tmp_path)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def picture(compare: Compare, opened: OpenedChat, run: Play, size: tuple[int, int]) -> bool:
    async def prepare(pilot: Pilot[Any]) -> None:
        opened.pilot = pilot
        await pilot.pause()
        await run(opened)
        for field in opened.app.screen.query(TextArea):
            field.cursor_blink = False
        for line in opened.app.screen.query(Input):
            line.cursor_blink = False
        await pilot.pause()

    return compare(opened.app, run_before=prepare, terminal_size=size)


async def nothing(opened: OpenedChat) -> None:
    pass


@pytest.mark.parametrize("size", SIZES)
def test_the_beginning(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert picture(snap_compare, OpenedChat(), nothing, size)


@pytest.mark.parametrize("size", SIZES)
def test_a_model_that_loads(snap_compare: Compare, size: tuple[int, int]) -> None:
    ended = threading.Event()

    def prepare(report: Report, cancelled: threading.Event) -> str:
        report(Loading(stage="loading smollm2", fraction=0.4))
        ended.wait(30)
        return ""

    async def run(opened: OpenedChat) -> None:
        await opened.until_shown("40%")

    assert picture(snap_compare, OpenedChat(prepare=prepare), run, size)
    ended.set()


@pytest.mark.parametrize("size", SIZES)
def test_a_task_with_its_input(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.press("ctrl+t")
        opened.input().insert("name,age\nAda,36\n")
        opened.prompt().focus()
        await opened.type("read this table\nand sort it")

    assert picture(snap_compare, OpenedChat(), run, size)


@pytest.mark.parametrize("size", SIZES)
def test_an_answer(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add two numbers")

    assert picture(snap_compare, OpenedChat(generator=Measured(CODE)), run, size)


@pytest.mark.parametrize("size", SIZES)
def test_an_answer_that_has_the_focus(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add two numbers")
        await opened.press("escape")

    assert picture(snap_compare, OpenedChat(generator=Measured(CODE)), run, size)


@pytest.mark.parametrize("theme", ["textual-light", "ansi-dark"])
def test_an_answer_in_another_theme(snap_compare: Compare, theme: str) -> None:
    async def run(opened: OpenedChat) -> None:
        opened.app.theme = theme
        await opened.ask("add two numbers")

    assert picture(snap_compare, OpenedChat(generator=Measured(CODE)), run, (100, 30))


@pytest.mark.parametrize("size", SIZES)
def test_a_lost_generator(snap_compare: Compare, size: tuple[int, int]) -> None:
    error = GeneratorLostError("the generator ended in the middle of the answer", hint="ask again")

    async def run(opened: OpenedChat) -> None:
        exchange = Exchange(
            id="e",
            conversation="c",
            started=1.0,
            task="add",
            answer="def add(a,",
            outcome=Outcome.FAILED,
            error=error.message,
            model="smollm2",
        )
        await opened.app.chat_screen.resume([exchange])
        opened.app.chat_screen.rest(f"Ctrl+R asks again · {error.message}", "error")

    assert picture(snap_compare, OpenedChat(), run, size)


@pytest.mark.parametrize("size", SIZES)
def test_the_conversations(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]) -> None:
    opened = OpenedChat(history=tmp_path)
    with opened.open_history() as history:
        for number, task in enumerate(["sort a list", "read a CSV file"]):
            history.save_exchange(
                Exchange(
                    id=f"e{number}",
                    conversation=f"c{number}",
                    started=1_000_000_000.0 + number,
                    task=task,
                    answer=SOURCE,
                    outcome=Outcome.STOP,
                )
            )

    async def run(opened: OpenedChat) -> None:
        await opened.press("ctrl+l")
        await opened.until_shown("2 conversations")
        if size[1] > 20:
            await opened.until_shown("return a + b")

    assert picture(snap_compare, opened, run, size)


@pytest.mark.parametrize("size", SIZES)
def test_the_parameters(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.press("ctrl+o")
        await opened.until_shown("Top-p")

    assert picture(snap_compare, OpenedChat(list_models=lambda: ["smollm2"]), run, size)


@pytest.mark.parametrize("size", SIZES)
def test_the_help(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.press("f1")
        await opened.until_shown("Keys")

    assert picture(snap_compare, OpenedChat(), run, size)


@pytest.mark.parametrize("size", SIZES)
def test_a_comparison(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def run(opened: OpenedChat) -> None:
        exchange = Exchange(
            id="e",
            conversation="c",
            started=1.0,
            task="swap",
            input=OLD,
            answer=SOURCE,
            outcome=Outcome.STOP,
        )
        await opened.app.chat_screen.resume([exchange])
        await opened.press("escape", "D")
        await opened.until_shown("The input")

    assert picture(snap_compare, OpenedChat(), run, size)


@pytest.mark.parametrize("size", SIZES)
def test_the_question_before_a_run(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add two numbers")
        await opened.press("escape", "x")
        await opened.until_shown("Run it")

    runner = SandboxRunner(Bubblewrap, timeout_s=1)
    assert picture(snap_compare, OpenedChat(generator=Measured(CODE), runner=runner), run, size)


@pytest.mark.parametrize("size", SIZES)
def test_the_question_where_to_save(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add two numbers")
        await opened.press("ctrl+s")
        await opened.until_shown("Save the code to")

    assert picture(snap_compare, OpenedChat(generator=Measured(CODE)), run, size)
