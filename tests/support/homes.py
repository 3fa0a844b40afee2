"""An `ASSISTANT_HOME` of its own for tests that run the real program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
MODEL = "smollm2-135m-instruct"


class Home:
    """An `ASSISTANT_HOME` with the embedded model, and the program run in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = path / "run" / "generator.sock"
        self.token_file = path / "run" / "token"

    def environment(self, **more: str) -> dict[str, str]:
        # The kernels are kept: each home would compile its own.
        kept = {
            k: v for k, v in os.environ.items() if k == "ASSISTANT_CACHE" or not k.startswith("ASSISTANT_")
        }
        source = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        return {**kept, "ASSISTANT_HOME": str(self.path), "PYTHONPATH": source, **more}

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        more = options.pop("env", {})
        defaults: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": -1, "stderr": -1, "text": True}
        return subprocess.Popen(
            [sys.executable, "-m", "assistant", *arguments],
            env=self.environment(**more),
            **{**defaults, **options},
        )

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, **options)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def servers(self) -> list[psutil.Process]:
        """Generator processes of this home, the ones on their way included."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                is_server = "assistant.server" in process.cmdline()
                if is_server and process.environ().get("ASSISTANT_HOME") == str(self.path):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill_servers(self) -> None:
        for process in self.servers():
            process.send_signal(signal.SIGKILL)
        wait_until(lambda: not self.servers())


def wait_until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: It did not come true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)
