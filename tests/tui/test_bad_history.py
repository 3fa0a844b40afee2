"""A history that is full or locked: no answer is lost, on the screen or off it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from opened_chat import SOURCE, OpenedChat, play

from assistant.errors import AssistantError
from assistant.history.recorder import Recorder
from assistant.history.records import Exchange
from assistant.history.store import History, open_history


class Recorded(OpenedChat):
    """A chat with the real recorder.

    Args:
        open_store: Opens the history.
    """

    def __init__(self, open_store: Callable[[], History]) -> None:
        super().__init__()
        self.heard = threading.Event()
        self.recorder = Recorder(self._warn, open_store)

    def _warn(self, error: AssistantError) -> None:
        self.app.report_history(error)
        self.heard.set()

    def _save(self, exchange: Exchange) -> None:
        self.recorder.save(exchange)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A history with nothing in it."""
    path = tmp_path / "history" / "history.db"
    with open_history(path):
        return path


def answers(path: Path) -> dict[str, str]:
    with open_history(path) as history:
        kept = [history.read_exchanges(each.id) for each in history.list_conversations(limit=10)]
    return {exchange.task: exchange.answer for exchanges in kept for exchange in exchanges}


def test_a_full_disk_costs_a_warning_and_the_answer_is_stored_once_there_is_room(path: Path) -> None:
    is_full = True

    def open_store() -> History:
        history = open_history(path)
        if is_full:
            pages = history._connection.execute("PRAGMA page_count").fetchone()[0]
            history._connection.execute(f"PRAGMA max_page_count = {pages}")
        return history

    async def run(opened: OpenedChat) -> None:
        nonlocal is_full
        await opened.type("add " + "x" * 5000)
        await opened.press("enter")
        await opened.until_answered()
        await opened.until_shown("no space")
        await opened.until_shown("return a + b")
        assert answers(path) == {}
        is_full = False

    opened = Recorded(open_store)
    play(opened, run)
    assert opened.recorder.close()
    assert list(answers(path).values()) == [f"Here:\n\n```python\n{SOURCE}```\n"]


def test_a_history_that_another_instance_has_locked_keeps_nobody_waiting(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.until_shown("return a + b")
        await opened.until_shown("not stored in the history")
        await opened.type("next")
        assert opened.prompt().text == "next"

    opened = Recorded(lambda: open_history(path, busy_timeout_s=0.05))
    play(opened, run)
    other.close()
    assert opened.recorder.close()
    assert list(answers(path)) == ["add"]
