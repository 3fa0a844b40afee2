"""What is left when the chat is killed at any moment, and when two of them write at once."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from homes import Home, wait_until
from terminals import CHAT, Terminal, scripted_generator

from assistant.history.records import Exchange, Outcome
from assistant.history.store import open_history

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]
KILLS = 100
TASKS = 12
READY = "What should the code do?"


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with scripted_generator(step_s=0.1) as home:
        yield home


def read_exchanges(home: Home) -> dict[str, Exchange]:
    """All that is stored, by task."""
    path = home.path / "data" / "history" / "history.db"
    if not path.exists():
        return {}
    with open_history(path) as history:
        conversations = history.list_conversations(limit=10_000)
        return {each.task: each for it in conversations for each in history.read_exchanges(it.id)}


def read_drafts(home: Home) -> list[str]:
    drafts = (home.path / "data" / "drafts").glob("*.json")
    return [json.loads(draft.read_text(encoding="utf-8"))["task"] for draft in drafts]


@pytest.mark.timeout(1800)
def test_no_kill_loses_a_stored_exchange_or_a_draft_older_than_a_second(home: Home, tmp_path: Path) -> None:
    rng = random.Random(7)
    known: dict[str, Exchange] = {}
    drafts = 0
    for number in range(KILLS):
        shutil.rmtree(home.path / "data" / "drafts", ignore_errors=True)
        terminal = Terminal(f"as-{os.getpid()}-kill{number}", home, tmp_path)
        terminal.start(CHAT)
        terminal.wait_for(READY)
        task = f"task {number}"
        terminal.type(task)
        terminal.keys("Enter")
        sent = time.monotonic()
        typed = ""
        typed_at = [(sent, typed)]
        end = sent + rng.uniform(0, 4)
        while time.monotonic() < end:
            letter = rng.choice("abcdefg")
            terminal.type(letter)
            typed += letter
            typed_at.append((time.monotonic(), typed))
            time.sleep(rng.uniform(0, 0.2))
        found = read_exchanges(home)
        known |= {name: each for name, each in found.items() if each.outcome is Outcome.STOP}
        killed = time.monotonic()
        terminal.kill()
        terminal.close()
        stored = read_exchanges(home)
        assert {name: stored[name] for name in known} == known
        assert task in stored or killed - sent < 1
        safe = max(text for moment, text in typed_at if moment <= max(killed - 1, sent))
        drafts += bool(safe)
        assert not safe or any(draft.startswith(safe) for draft in read_drafts(home)), (number, safe)
    assert len(known) > KILLS / 4
    assert drafts > KILLS / 4


def test_two_that_write_at_once_lose_nothing(home: Home, tmp_path: Path) -> None:
    shutil.rmtree(home.path / "data" / "drafts", ignore_errors=True)  # or one of them takes it over
    before = len(read_exchanges(home))
    with ExitStack() as ending:
        terminals = [Terminal(f"as-{os.getpid()}-two{number}", home, tmp_path) for number in range(2)]
        for terminal in terminals:
            terminal.start(CHAT)
            ending.callback(terminal.close)
            terminal.wait_for(READY)
        for number in range(TASKS):
            for name, terminal in zip("ab", terminals, strict=True):
                terminal.type(f"at once {name}{number}")
                terminal.keys("Enter")
            wait_until(lambda: len(answered(home, "at once")) == 2 * number + 2)  # noqa: B023
        for terminal in terminals:
            assert "history" not in terminal.screen().replace("^l history", "")
            terminal.keys("C-q")
            terminal.wait_for("code=0")
    assert len(read_exchanges(home)) == before + 2 * TASKS


def answered(home: Home, beginning: str) -> list[Exchange]:
    found = read_exchanges(home).values()
    return [each for each in found if each.task.startswith(beginning) and each.outcome is Outcome.STOP]
