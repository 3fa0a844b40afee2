"""The chat with the embedded model, in a real terminal: tmux types and reads the screen."""

from __future__ import annotations

import ast
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import MODEL, Home, wait_until
from terminals import CHAT, Terminal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


@pytest.fixture
def terminal(home: Home, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(f"as-{os.getpid()}-model", home, tmp_path)
    terminal.start(CHAT)
    yield terminal
    terminal.close()


def wait_for(terminal: Terminal, pattern: str) -> None:
    """Wait as long as a model may take to load on a busy machine."""
    try:
        wait_until(lambda: bool(re.search(pattern, terminal.screen())), seconds=240)
    except AssertionError as error:
        raise AssertionError(terminal.screen()) from error


def test_a_task_is_answered_by_the_model_copied_saved_and_the_file_parses(
    terminal: Terminal, tmp_path: Path
) -> None:
    terminal.wait_for("What should the code do?")
    terminal.type("Write a function that returns the n-th Fibonacci number")
    terminal.keys("Enter")
    wait_for(terminal, r"tok/s · \S+ s · Es")
    wait_for(terminal, f"parses · {MODEL}")
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
    tree = ast.parse((tmp_path / "out.py").read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))


def test_a_generator_that_is_killed_in_the_middle_is_said_and_comes_back_on_a_key(
    terminal: Terminal, home: Home
) -> None:
    terminal.wait_for("What should the code do?")
    terminal.type("Write a class Stack with push, pop and peek")
    terminal.keys("Enter")
    wait_for(terminal, r"tok/s · \S+ s · Es")
    home.kill_servers()
    terminal.wait_for("Ctrl+R asks again")
    terminal.keys("C-r")
    wait_for(terminal, r"seed \d+")  # the answer at another seed need not parse
    assert home.servers()
