"""Running an answer's code, behind one seam. `LimitedRunner` is no sandbox: the code has the user's rights.

It runs in a process group of its own, in a scratch directory, with limits on time, memory, processes and
file sizes, and without the assistant's secrets in its environment. It can still read the user's files and
reach the network: what asks for a run must say so.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

MEMORY_BYTES = 2 * 1024**3
FILE_BYTES = 64 * 1024**2
MAX_OUTPUT_BYTES = 256 * 1024
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "TMPDIR")
PIPE_GRACE_S = 1.0
"""How long output is waited for after the end: a child of the code may hold the pipe open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What came of a run."""

    output: str
    """Standard output and standard error as they came, at most `MAX_OUTPUT_BYTES`."""
    exit_code: int | None
    """None where it was ended before its end."""
    seconds: float
    ended_by: str = ""
    """timeout or user, where it did not end by itself."""
    is_cut: bool = False
    """There was more output than is kept."""


class Run(Protocol):
    """A run that goes on."""

    def wait(self) -> RunResult:
        """Return what came of it, when it is over. For another thread than the screen's."""
        ...

    def stop(self) -> None:
        """End it. From any thread, any number of times."""
        ...


class Runner(Protocol):
    """The seam: a sandbox takes this place."""

    caution: str
    """What the code can do to the user, in a sentence for the question before it."""

    def start(self, code: str) -> Run:
        """Start some code.

        Raises:
            OSError: It cannot be started.
        """
        ...


class LimitedRunner:
    """Runs code with this program's own Python.

    Args:
        timeout_s: End a run after so long.
    """

    caution = "There is no sandbox yet: the code can read and change your files and use the network. Read it."

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s

    def start(self, code: str) -> Run:
        """Start some code.

        Raises:
            OSError: It cannot be started.
        """
        return _LimitedRun(code, self._timeout_s)


class _LimitedRun:
    def __init__(self, code: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._stopped_by = ""
        self._began = time.monotonic()
        self._scratch = tempfile.TemporaryDirectory(prefix="assistant-run-", ignore_cleanup_errors=True)
        directory = Path(self._scratch.name)
        script = directory / "answer.py"
        script.write_text(code, encoding="utf-8", errors="replace", newline="\n")
        limits = {
            "RLIMIT_CPU": int(timeout_s) + 1,
            "RLIMIT_AS": MEMORY_BYTES,
            "RLIMIT_FSIZE": FILE_BYTES,
            "RLIMIT_CORE": 0,
            "RLIMIT_NOFILE": 256,
        }
        limited = Path(__file__).with_name("limited.py")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(limited), json.dumps(limits), str(script)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=_environment(directory),
                start_new_session=True,
            )
        except OSError:
            self._scratch.cleanup()
            raise

    def wait(self) -> RunResult:
        pipe = self._process.stdout
        kept = _Kept()
        reader = threading.Thread(target=kept.read, args=(pipe,), name="run-output", daemon=True)
        reader.start()
        timer = threading.Timer(self._timeout_s, self._end, ["timeout"])
        timer.daemon = True
        timer.start()
        code = self._process.wait()
        timer.cancel()
        seconds = time.monotonic() - self._began
        reader.join(PIPE_GRACE_S)
        self._kill_group()  # what the code left running
        reader.join(PIPE_GRACE_S)
        if pipe is not None and not reader.is_alive():
            pipe.close()
        self._scratch.cleanup()
        return RunResult(
            output=kept.text(),
            exit_code=None if self._stopped_by else code,
            seconds=seconds,
            ended_by=self._stopped_by,
            is_cut=kept.is_cut,
        )

    def stop(self) -> None:
        self._end("user")

    def _end(self, by: str) -> None:
        if self._process.poll() is None:
            self._stopped_by = self._stopped_by or by
            self._kill_group()

    def _kill_group(self) -> None:
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()


class _Kept:
    """The beginning of an output; the rest is read and dropped, so that the code does not stall."""

    def __init__(self) -> None:
        self._content = bytearray()
        self.is_cut = False

    def read(self, pipe: IO[bytes] | None) -> None:
        if pipe is None:
            return
        with contextlib.suppress(OSError, ValueError):
            while piece := os.read(pipe.fileno(), 65536):
                room = MAX_OUTPUT_BYTES - len(self._content)
                self._content += piece[:room]
                self.is_cut = self.is_cut or len(piece) > room

    def text(self) -> str:
        return bytes(self._content).decode("utf-8", "replace")


def _environment(scratch: Path) -> dict[str, str]:
    kept = {name: value for name in KEPT_VARIABLES if (value := os.environ.get(name))}
    return kept | {"HOME": str(scratch), "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1", "TERM": "dumb"}
