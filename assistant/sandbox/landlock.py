"""The Landlock backend, for where namespaces are forbidden: the job's process gives up its own rights.

Unlike in bubblewrap a job is a single process that can start no other (threads it can), and it can write no
file, since nothing could limit what it writes in total. It can find out that a file exists and how large it
is, but can open, change, signal and reach nothing.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import platform
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

from assistant.errors import SandboxError
from assistant.sandbox.confining import CREATE_RULESET
from assistant.sandbox.filters import build_filter
from assistant.sandbox.interface import Job, Limits, Process
from assistant.sandbox.plans import Rights, build_start, choose_user, read_interpreter
from assistant.sandbox.starting import Confinement, start_job

OLDEST_VERSION = 6
"""Of Landlock: the first that keeps signals and abstract sockets in, Linux 6.12."""
ASK_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
SYSTEM_PATHS = ("/usr", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/alternatives")
READ_DEVICES = ("/dev/zero", "/dev/random", "/dev/urandom")
WRITE_DEVICES = ("/dev/null", "/dev/full")


class Landlock:
    """Confines jobs by Landlock, a system call filter and limits."""

    name = "landlock"

    def __init__(self) -> None:
        self._jobs = itertools.count(1)

    @cache  # noqa: B019 (a backend lives as long as its program)
    def find_version(self) -> str:
        """The kernel's version of Landlock, or the empty string where it has none."""
        if sys.platform != "linux":
            return ""
        found = ctypes.CDLL(None).syscall(CREATE_RULESET, None, 0, ASK_VERSION)
        return str(found) if found > 0 else ""

    def start(self, job: Job, limits: Limits) -> Process:
        """Start a program, from any thread.

        Raises:
            SandboxError: It cannot be started.
        """
        program = build_filter(is_alone=True)
        if program is None:
            raise SandboxError(f"there is no system call filter for {platform.machine()}")
        version = self.find_version() or "0"
        if int(version) < OLDEST_VERSION:
            raise SandboxError(f"Landlock has version {version}, and {OLDEST_VERSION} (Linux 6.12) is needed")
        user = choose_user(next(self._jobs))
        rights = Rights(
            readable=_find_readable(job),
            writable=_existing(WRITE_DEVICES),
            program=program,
            user=user,
        )
        allowed = replace(limits, file_bytes=0, processes=limits.processes + (0 if user else _count_tasks()))
        confinement = Confinement(
            name=self.name,
            build_argv=lambda handles: [*build_start(), str(handles.plan)],
            rights=rights,
        )
        return start_job(job, allowed, confinement)


def _find_readable(job: Job) -> tuple[Path, ...]:
    interpreter = read_interpreter()
    packages = interpreter.packages if job.has_packages else ()
    asked = [path.absolute() for path in job.readable]
    return (*_existing(SYSTEM_PATHS), *_existing(READ_DEVICES), *interpreter.readable, *packages, *asked)


def _existing(paths: tuple[str, ...]) -> tuple[Path, ...]:
    return tuple(Path(path) for path in paths if Path(path).exists())


def _count_tasks() -> int:
    """How many processes and threads this user has: without a namespace the job is counted among them."""
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                if entry.stat().st_uid == os.getuid():
                    count += Path(entry.path, "task").stat().st_nlink - 2
            except OSError:  # it has ended
                continue
    return count
