"""The program in a real terminal: tmux types and reads the screen."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from homes import ROOT, Home, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

SCRIPT = {
    "model": "scripted",
    "pieces": ["Here it is:\n\n", "```python\n", "def add(a, b):\n", "    return a + b\n", "```\n"],
    "step_s": 0.05,
    "slots": 4,
    "context_tokens": 4096,
    "load_s": 0.0,
}


class Terminal:
    """A tmux of its own with one window."""

    def __init__(self, name: str, home: Home, directory: Path) -> None:
        self._socket = name
        self._home = home
        self._directory = directory

    def start(self, command: str, *, size: tuple[int, int] = (100, 30)) -> None:
        width, height = map(str, size)
        settings = [f"{k}={v}" for k, v in self._home.environment().items() if k != "TMUX"]
        shell = ["env", *settings, "sh", "-c", f"{command}; echo code=$?; exec cat"]
        place = ["-x", width, "-y", height, "-c", str(self._directory)]
        self._tmux("-f", "/dev/null", "new-session", "-d", *place, *shell)

    def keys(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", text)

    def paste(self, text: str) -> None:
        self._tmux("load-buffer", "-", text=text)
        self._tmux("paste-buffer", "-p")

    def resize(self, width: int, height: int) -> None:
        self._tmux("resize-window", "-x", str(width), "-y", str(height))

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def format(self, name: str) -> str:
        return self._tmux("display-message", "-p", f"#{{{name}}}").strip()

    def wait_for(self, text: str) -> None:
        try:
            wait_until(lambda: text in self.screen(), seconds=30)
        except AssertionError as error:
            raise AssertionError(f"{text!r} did not appear on\n{self.screen()}") from error

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str, text: str | None = None) -> str:
        command = ["tmux", "-L", self._socket, *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


CHAT = f"{sys.executable} -m assistant"


@pytest.fixture(scope="module")
def scripted_home() -> Iterator[Home]:
    """A home whose generator says what it is told to, with a store that has an active model."""
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    models = home.path / "data" / "models"
    models.mkdir(parents=True)
    models.chmod(0o700)
    (models / "scripted").mkdir()
    pointer = {"schema": 1, "active": "scripted", "previous": []}
    (models / "active.json").write_text(json.dumps(pointer), encoding="utf-8")
    script = home.path / "script.json"
    script.write_text(json.dumps(SCRIPT), encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, "-m", "assistant.server", "--scripted", str(script)], env=home.environment()
    )
    wait_until(lambda: home.socket.exists())
    yield home
    server.terminate()
    server.wait(20)
    shutil.rmtree(home.path)


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
    assert ROOT.exists()


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
