"""The chat as a process on a terminal of its own."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
PROMPT = b"What should the code do?"


class ChatProcess(psutil.Process):
    """The chat on a terminal."""

    master: int


@contextmanager
def open_chat(home: Path) -> Iterator[tuple[ChatProcess, float]]:
    """Open the chat on a terminal of its own; yield it and the time to its first picture, in seconds."""
    environment = {
        **os.environ,
        "ASSISTANT_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm-256color",
    }
    began = time.monotonic()
    child, master = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, "-m", "assistant"], environment)
    process = ChatProcess(child)
    process.master = master
    try:
        drawn = b""
        while PROMPT not in drawn:
            drawn += os.read(master, 65536)
        yield process, time.monotonic() - began
    finally:
        process.kill()
        os.waitpid(child, 0)
        os.close(master)


def drain(master: int, seconds: float) -> None:
    """Read what is drawn, so that the chat never waits for it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            os.read(master, 65536)
