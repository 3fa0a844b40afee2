"""The chat in a real terminal: tmux types and reads its screen. A home whose generator follows a script."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from homes import Home, wait_until

CHAT = f"{sys.executable} -m assistant"
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

    def kill(self) -> None:
        """Kill whatever runs in the window's shell, without a warning."""
        for child in psutil.Process(int(self.format("pane_pid"))).children(recursive=True):
            child.kill()

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str, text: str | None = None) -> str:
        command = ["tmux", "-L", self._socket, *arguments]
        return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


@contextmanager
def scripted_generator(**script: Any) -> Iterator[Home]:
    """A home whose generator says what it is told to, with a store that has an active model."""
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    models = home.path / "data" / "models"
    models.mkdir(parents=True)
    models.chmod(0o700)
    (models / "scripted").mkdir()
    pointer = {"schema": 1, "active": "scripted", "previous": []}
    (models / "active.json").write_text(json.dumps(pointer), encoding="utf-8")
    file = home.path / "script.json"
    file.write_text(json.dumps(SCRIPT | script), encoding="utf-8")
    program = [sys.executable, "-m", "assistant.server", "--scripted", str(file)]
    server = subprocess.Popen(program, env=home.environment())
    wait_until(home.socket.exists)
    yield home
    server.terminate()
    server.wait(20)
    shutil.rmtree(home.path)
