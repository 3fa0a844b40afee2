"""The chat, a real terminal and the real model."""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Home, wait_until
from terminals import CHAT, Terminal

pytestmark = [
    pytest.mark.model,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


@pytest.fixture
def terminal(home: Home, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(f"as-{os.getpid()}-model", home, tmp_path)
    yield terminal
    terminal.close()


def test_a_task_is_answered_copied_saved_and_the_chat_left(terminal: Terminal, tmp_path: Path) -> None:
    terminal.start(CHAT)
    terminal.wait_for("What should the code do?")
    terminal.type("Write a function that checks whether a string is a palindrome")
    terminal.keys("Enter")
    terminal.wait_for("tok/s")
    terminal.wait_for("parses ·")
    terminal.keys("F2")
    terminal.wait_for("copied")
    terminal.keys("C-s")
    terminal.wait_for("Save the code to")
    terminal.keys("C-a", "C-k")
    terminal.type("out.py")
    terminal.keys("Enter")
    wait_until((tmp_path / "out.py").exists)
    terminal.keys("C-q")
    terminal.wait_for("code=0")
    assert ast.parse((tmp_path / "out.py").read_text(encoding="utf-8")).body


def test_a_generator_that_is_killed_leaves_the_chat_and_comes_back(home: Home, terminal: Terminal) -> None:
    terminal.start(CHAT)
    terminal.wait_for("What should the code do?")
    terminal.type("Write a long class for matrices with many methods")
    terminal.keys("Enter")
    terminal.wait_for("tok/s")
    home.kill_servers()
    terminal.wait_for("failed:")
    terminal.keys("C-r")
    terminal.wait_for("tok/s")
    terminal.keys("C-q")
    terminal.wait_for("code=0")
