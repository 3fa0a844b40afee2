"""The command line as a shell meets it: processes, pipes, signals, a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pexpect

ROOT = Path(__file__).resolve().parents[2]
STARTER = (
    "import sys; from assistant.cli import main; sys.argv[0] = 'assistant'; exec({patch!r}); sys.exit(main())"
)


class Program:
    """Starts `assistant`.

    Args:
        home: Its `ASSISTANT_HOME`.
        directory: Where it runs.
        patch: Python that is run in the new process before the command.
    """

    def __init__(self, *, home: Path, directory: Path, patch: str = "") -> None:
        self._home = home
        self._directory = directory
        self.patch = patch

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command; its streams are pipes unless they are given, its input is empty."""
        pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": -1, "stderr": -1}
        more = options.pop("env", {})
        pipes |= {"cwd": self._directory, "env": self._environment(more), **options}
        return cast("subprocess.Popen[bytes]", subprocess.Popen(self._command(arguments), **pipes))

    def run(
        self, *arguments: str, fed: bytes | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with `fed` as its input."""
        if fed is not None:
            options["stdin"] = subprocess.PIPE
        with self.start(*arguments, **options) as process:
            out, err = process.communicate(fed, timeout=60)
        return subprocess.CompletedProcess(
            arguments, process.returncode, (out or b"").decode(), (err or b"").decode()
        )

    def start_on_terminal(self, *arguments: str, **environment: str) -> pexpect.spawn[str]:
        """Start a command with a terminal for all of its streams."""
        program, *rest = self._command(arguments)
        return pexpect.spawn(
            program,
            rest,
            cwd=str(self._directory),
            env=self._environment({"TERM": "xterm", **environment}),
            encoding="utf-8",
            timeout=30,
            dimensions=(24, 100),
        )

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        if not self.patch:
            return [sys.executable, "-m", "assistant", *arguments]
        return [sys.executable, "-c", STARTER.format(patch=self.patch), *arguments]

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        source = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        return {**os.environ, "ASSISTANT_HOME": str(self._home), "PYTHONPATH": source, **more}
