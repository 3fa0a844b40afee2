"""Talks to a peer's process. Knows no peer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHILD = Path(__file__).resolve().parent / "child.py"


class UnavailableError(Exception):
    """A peer cannot take part, and why."""


class Running:
    """One peer in a process of its own.

    Args:
        name: As it is shown.
        python: The interpreter of its environment.
        module: Its module beside `child.py`.
        environment: Of the process.
        log: Where its standard error goes.
    """

    def __init__(
        self, name: str, python: Path, module: str, environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self._log = log
        self._began = time.monotonic()
        self.ready_s = 0.0
        """From the process' start until its model was loaded."""
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(python), str(CHILD), module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=dict(environment),
                text=True,
                encoding="utf-8",
            )

    @property
    def pid(self) -> int:
        """The process' number."""
        return self._process.pid

    def call(self, method: str, **arguments: Any) -> Any:
        """Let it do something and return the result.

        Raises:
            UnavailableError: It failed or ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": method, "with": arguments}) + "\n")
            self._process.stdin.flush()
        except OSError:
            pass  # it has ended: the missing answer says so
        line = self._process.stdout.readline()
        if not line:
            raise UnavailableError(f"its process ended with {self._process.wait()}; see {self._log}")
        answer = json.loads(line)
        if "error" in answer:
            raise UnavailableError(answer["error"])
        return answer["result"]

    def load(self, **arguments: Any) -> dict[str, Any]:
        """Load its model.

        Raises:
            UnavailableError: It cannot.
        """
        loaded = self.call("load", **arguments)
        self.ready_s = time.monotonic() - self._began
        return loaded

    def end(self) -> None:
        """End the process, and close what leads to it."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was still to be written has no reader
                    stream.close()


def read_memory(pid: int) -> dict[str, int]:
    """Return bytes of main memory that a process has now and had at the most; nothing where unknown."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return {}
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    names = {"now": "VmRSS", "peak": "VmHWM"}
    return {key: int(lines[name].split()[0]) * 1024 for key, name in names.items() if name in lines}
