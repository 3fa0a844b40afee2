"""The program in a real terminal: tmux types and reads the screen."""

from __future__ import annotations

import ast
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from homes import Home, wait_until
from terminals import CHAT, Terminal, scripted_generator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]


@pytest.fixture(scope="module")
def scripted_home() -> Iterator[Home]:
    with scripted_generator() as home:
        yield home


@pytest.fixture
def terminal(scripted_home: Home, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    shutil.rmtree(scripted_home.path / "data" / "drafts", ignore_errors=True)
    terminal = Terminal(f"as-{os.getpid()}-{request.node.name[:40]}", scripted_home, tmp_path)
    yield terminal
    terminal.close()


def test_a_task_is_answered_copied_saved_and_the_chat_left(terminal: Terminal, tmp_path: Path) -> None:
    terminal.start(CHAT)
    terminal.wait_for("What should the code do?")
    terminal.type("add two numbers")
    terminal.keys("Enter")
    terminal.wait_for("parses")
    assert "return a + b" in terminal.screen()
    terminal.keys("F2")
    terminal.wait_for("copied")
    terminal.keys("C-s")
    terminal.wait_for("Save the code to")
    terminal.keys("C-a", "C-k")
    terminal.type("out.py")
    terminal.wait_for("out.py")
    terminal.keys("Enter")
    wait_until(lambda: (tmp_path / "out.py").exists(), seconds=20)
    terminal.keys("C-q")
    terminal.wait_for("code=0")
    source = (tmp_path / "out.py").read_text(encoding="utf-8")
    assert source == "def add(a, b):\n    return a + b\n"
    assert ast.parse(source).body


def test_what_is_piped_in_is_the_input_and_the_keyboard_still_works(terminal: Terminal) -> None:
    terminal.start(f"printf 'first = 1\\nsecond = 2\\n' | {CHAT}")
    terminal.wait_for("second = 2")
    terminal.type("rename")
    terminal.wait_for("rename")
    terminal.keys("C-q")
    terminal.wait_for("code=0")


def test_a_paste_of_two_hundred_lines_sends_nothing(terminal: Terminal) -> None:
    terminal.start(CHAT)
    terminal.wait_for("What should the code do?")
    terminal.paste("".join(f"line {number}\n" for number in range(200)))
    terminal.wait_for("line 199")
    assert "parses" not in terminal.screen()
    terminal.keys("C-q")
    terminal.wait_for("code=0")


def test_a_termination_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.start(CHAT)
    terminal.wait_for("What should the code do?")
    assert terminal.format("alternate_on") == "1"
    pane = int(terminal.format("pane_pid"))
    for child in psutil.Process(pane).children(recursive=True):
        child.terminate()
    terminal.wait_for("code=143")
    assert terminal.format("alternate_on") == "0"


def test_another_size_of_the_window_shows_the_same(terminal: Terminal) -> None:
    terminal.start(CHAT)
    terminal.wait_for("What should the code do?")
    terminal.type("add")
    terminal.keys("Enter")
    terminal.resize(70, 20)
    terminal.wait_for("return a + b")
    terminal.keys("C-q")
    terminal.wait_for("code=0")


def test_ctrl_c_clears_the_prompt_and_then_quits(terminal: Terminal) -> None:
    terminal.start(CHAT)
    terminal.wait_for("What should the code do?")
    terminal.type("a half task")
    terminal.wait_for("a half task")
    terminal.keys("C-c")
    wait_until(lambda: "a half task" not in terminal.screen())
    terminal.keys("C-c")
    terminal.keys("C-c")
    terminal.wait_for("code=")


def test_without_a_terminal_it_says_what_to_do(scripted_home: Home) -> None:
    done = scripted_home.run("chat")
    assert done.returncode == 2
    assert "assistant ask" in done.stderr


def test_a_terminal_that_can_do_nothing_is_told_so(scripted_home: Home, terminal: Terminal) -> None:
    terminal.start(f"TERM=dumb {CHAT}")
    terminal.wait_for("code=2")
    assert "assistant ask" in terminal.screen()
