"""The chat as a process on a terminal of its own, beside a scripted generator that is ready or loads."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
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


@contextmanager
def scripted_generator(*, load_s: float) -> Iterator[Path]:
    """A home with an active model, whose generator is there.

    Args:
        load_s: So long it says that it loads, in seconds.
    """
    home = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))  # sockets need short paths
    models = home / "data" / "models"
    (models / "scripted").mkdir(parents=True)
    models.chmod(0o700)
    pointer = {"schema": 1, "active": "scripted", "previous": []}
    (models / "active.json").write_text(json.dumps(pointer), encoding="utf-8")
    script = home / "script.json"
    says = {"model": "scripted", "pieces": ["pass"], "context_tokens": 4096, "load_s": load_s}
    script.write_text(json.dumps(says), encoding="utf-8")
    program = [sys.executable, "-m", "assistant.server", "--scripted", str(script)]
    environment = {**os.environ, "ASSISTANT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(program, env=environment)
    try:
        while not (home / "run" / "generator.sock").exists():
            time.sleep(0.02)
        yield home
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(home, ignore_errors=True)


def drain(master: int, seconds: float) -> None:
    """Read what is drawn, so that the chat never waits for it."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            os.read(master, 65536)
