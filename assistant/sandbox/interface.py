"""What a sandbox is to whoever wants code run: limits, a job, a process, how it ended. Starts nothing."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What code may use before it is ended."""

    wall_s: float = 10.0
    """Seconds, from the start."""
    cpu_s: int = 5
    """Seconds of processor time of each of its processes."""
    memory_bytes: int = 1024**3
    """Address space of each of its processes."""
    processes: int = 64
    """Processes and threads, all together."""
    open_files: int = 64
    file_bytes: int = 16 * 1024**2
    """Of one file."""
    scratch_bytes: int = 64 * 1024**2
    """Of all files; none is kept."""
    output_bytes: int = 64 * 1024
    """Standard output and standard error together; more ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One Python program."""

    source: str
    """Started as `python -I -c source`. Its working directory is an empty scratch."""
    channel: bool = False
    """Give the process one end of a socket pair, as file descriptor number `sys.argv[1]`."""
    has_packages: bool = False
    """Let it import what is installed beside this program; else only the standard library."""
    readable: tuple[Path, ...] = ()
    """Files and directories that it may read beside Python itself, at the paths that they have."""


class Outcome(StrEnum):
    """How a process came to its end."""

    EXITED = "exited"
    """By itself, whatever its exit code."""
    TIMED_OUT = "timed out"
    """It ran for `wall_s`, or used up `cpu_s`."""
    TOO_MUCH_OUTPUT = "too much output"
    STOPPED = "stopped"
    """`stop` was called."""
    KILLED = "killed"
    """By a signal that is none of ours: out of memory, or from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of a process."""

    outcome: Outcome
    exit_code: int | None
    """None where it did not exit by itself."""
    output: bytes
    """Standard output and standard error as they came, at most `output_bytes`."""
    is_cut: bool
    """There was more output than is kept."""
    seconds: float
    sandbox: str
    """The backend's name."""


class Process(Protocol):
    """A program that runs. Nothing of it is left after `wait`, or when this process dies somehow."""

    channel: socket.socket | None
    """Our end; the caller closes it."""

    def wait(self) -> Ended:
        """Return what came of it, when it is over and everything that it started is gone."""
        ...

    def stop(self) -> None:
        """End it. From any thread, any number of times."""
        ...


class Backend(Protocol):
    """A way to confine a program. `find_sandbox` returns one that has been tried out."""

    name: str
    """bubblewrap or landlock."""

    def start(self, job: Job, limits: Limits) -> Process:
        """Start a program, from any thread.

        Raises:
            SandboxError: It cannot be started.
        """
        ...
