"""Running an answer's code in a sandbox, behind one seam. Without a sandbox nothing is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from assistant.config import SandboxSettings
from assistant.sandbox.interface import Backend, Job, Limits, Outcome, Process

MEMORY_BYTES = 2 * 1024**3
FILE_BYTES = 64 * 1024**2
MAX_OUTPUT_BYTES = 256 * 1024
ENDED_BY = {
    Outcome.EXITED: "",
    Outcome.TIMED_OUT: "timeout",
    Outcome.STOPPED: "user",
    Outcome.TOO_MUCH_OUTPUT: "output",
    Outcome.KILLED: "kill",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """What came of a run."""

    output: str
    """Standard output and standard error as they came, at most `MAX_OUTPUT_BYTES`."""
    exit_code: int | None
    """None where it was ended before its end."""
    seconds: float
    ended_by: str = ""
    """timeout, user, output or kill, where it did not end by itself."""
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
    """The seam: tests give the chat one of their own."""

    def find_caution(self) -> str:
        """Say what the code can do and what not, for the question before it. For another thread.

        Raises:
            SandboxError: There is no sandbox, so nothing can be run.
        """
        ...

    def start(self, code: str) -> Run:
        """Start some code. For another thread.

        Raises:
            SandboxError: It cannot be started.
        """
        ...


class SandboxRunner:
    """Runs code with this program's own Python and what is installed beside it, confined.

    Args:
        find_sandbox: Returns the sandbox, or raises SandboxError.
        timeout_s: End a run after so long.
    """

    def __init__(self, find_sandbox: Callable[[], Backend], *, timeout_s: float) -> None:
        self._find_sandbox = find_sandbox
        self._limits = Limits(
            wall_s=timeout_s,
            cpu_s=int(timeout_s) + 1,
            memory_bytes=MEMORY_BYTES,
            file_bytes=FILE_BYTES,
            output_bytes=MAX_OUTPUT_BYTES,
        )

    def find_caution(self) -> str:
        """Say what the code can do and what not.

        Raises:
            SandboxError: There is no sandbox.
        """
        name = self._find_sandbox().name
        return f"It cannot read or change your files or use the network ({name})."

    def start(self, code: str) -> Run:
        """Start some code.

        Raises:
            SandboxError: There is no sandbox, or it does not start.
        """
        process = self._find_sandbox().start(Job(source=code, has_packages=True), self._limits)
        return _SandboxRun(process)


class _SandboxRun:
    def __init__(self, process: Process) -> None:
        self._process = process

    def wait(self) -> RunResult:
        ended = self._process.wait()
        return RunResult(
            output=ended.output.decode("utf-8", "replace"),
            exit_code=ended.exit_code,
            seconds=ended.seconds,
            ended_by=ENDED_BY[ended.outcome],
            is_cut=ended.is_cut,
        )

    def stop(self) -> None:
        self._process.stop()


def build_runner(settings: SandboxSettings, *, timeout_s: float) -> SandboxRunner:
    """A runner that looks for its sandbox when it is first needed.

    Args:
        settings: Which sandbox.
        timeout_s: End a run after so long.
    """

    def find() -> Backend:
        from assistant.sandbox.choosing import find_sandbox

        return find_sandbox(settings)

    return SandboxRunner(find, timeout_s=timeout_s)
