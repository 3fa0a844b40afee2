"""The bubblewrap backend: Linux namespaces through the `bwrap` program, which needs no privilege.

The job sees Python, the system's libraries and an empty scratch; no network, no other process, no home, no
`/proc`, and nothing that it can write to beside the scratch. When `bwrap` dies, or this process does, the
kernel clears away everything in it. Where we are root, jobs are other users: they read only what all may.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

from assistant.errors import SandboxError
from assistant.sandbox.filters import build_filter
from assistant.sandbox.interface import Job, Limits, Process
from assistant.sandbox.plans import build_start, choose_user, read_interpreter
from assistant.sandbox.starting import Confinement, Handles, start_job

SCRATCH = "/tmp"
NOBODY = "65534"
DEVICES = ("null", "zero", "full", "random", "urandom")
SYSTEM_LIBRARIES = ("/lib", "/lib64", "/lib32", "/libx32", "/bin", "/sbin")
"""Links into `/usr` on most systems, directories of their own on some."""


class Bubblewrap:
    """Confines jobs by `bwrap`.

    Args:
        program: Its name or path.
    """

    name = "bubblewrap"

    def __init__(self, program: str = "bwrap") -> None:
        self._program = program
        self._jobs = itertools.count(1)

    @cache  # noqa: B019 (a backend lives as long as its program)
    def find_version(self) -> str:
        """What `bwrap --version` says, or the empty string where there is none."""
        program = shutil.which(self._program)
        if program is None:
            return ""
        try:
            asked = subprocess.run(
                [program, "--version"], capture_output=True, timeout=10, check=False, text=True
            )
        except (OSError, subprocess.SubprocessError):
            return ""
        return asked.stdout.strip().removeprefix("bubblewrap").strip()

    def start(self, job: Job, limits: Limits) -> Process:
        """Start a program, from any thread.

        Raises:
            SandboxError: It cannot be started.
        """
        bwrap = shutil.which(self._program)
        if bwrap is None or not self.find_version():
            raise SandboxError(f"there is no working {self._program} on this computer")
        user = choose_user(next(self._jobs))
        program = build_filter(is_alone=False)
        with contextlib.ExitStack() as stack:
            seccomp = _write_filter(stack, program) if program else ()

            def build_argv(handles: Handles) -> list[str]:
                return [
                    bwrap,
                    *(self._root_flags() if user else self._user_flags()),
                    *_isolation_flags(handles),
                    *(part for number in seccomp for part in ("--seccomp", str(number))),
                    *_file_flags(job, limits),
                    *("--", *build_start(), str(handles.plan)),
                ]

            confinement = Confinement(
                name=self.name,
                build_argv=build_argv,
                find_reaper=_find_reaper,
                user=user,
                descriptors=seccomp,
            )
            return start_job(job, limits, confinement)

    def _root_flags(self) -> list[str]:
        """Just enough to become another user; that takes all of it away."""
        return ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]

    def _user_flags(self) -> list[str]:
        flags = ["--unshare-user", "--uid", NOBODY, "--gid", NOBODY, "--cap-drop", "ALL"]
        return flags if self._is_older_than(0, 8) else [*flags, "--disable-userns"]

    def _is_older_than(self, *wanted: int) -> bool:
        numbers = tuple(int(part) for part in self.find_version().split(".") if part.isdigit())
        return numbers < wanted


def _find_reaper(report: bytes) -> int:
    """The first process of the sandbox, without which the kernel lets none other live."""
    return int(json.loads(report)["child-pid"])


def _write_filter(stack: contextlib.ExitStack, program: bytes) -> tuple[int]:
    descriptor = os.memfd_create("filter")
    stack.callback(os.close, descriptor)
    os.write(descriptor, program)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return (descriptor,)


def _isolation_flags(handles: Handles) -> list[str]:
    return [
        *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--hostname", "sandbox", "--die-with-parent", "--new-session", "--clearenv"),
        *("--info-fd", str(handles.report)),
    ]


def _file_flags(job: Job, limits: Limits) -> list[str]:
    flags = ["--ro-bind", "/usr", "/usr"]
    for path in SYSTEM_LIBRARIES:
        if Path(path).is_symlink():
            flags += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).is_dir():
            flags += ["--ro-bind", path, path]
    flags += ["--perms", "1777", "--size", str(limits.scratch_bytes), "--tmpfs", SCRATCH]
    for path in _read_only(job):
        flags += _bind(path, "--ro-bind")
    for device in DEVICES:
        flags += _bind(Path("/dev") / device, "--dev-bind")
    flags += ["--symlink", SCRATCH, "/dev/shm"]  # where semaphores and shared memory of processes lie
    return [*flags, "--remount-ro", "/", "--chdir", SCRATCH]


def _bind(path: Path, flag: str) -> list[str]:
    parents = [
        # by itself bwrap makes parents that only their owner may enter
        part
        for parent in reversed(path.parents[:-1])
        for part in ("--perms", "0755", "--dir", str(parent))
    ]
    return [*parents, flag, str(path), str(path)]


def _read_only(job: Job) -> list[Path]:
    interpreter = read_interpreter()
    packages = interpreter.packages if job.has_packages else ()
    wanted = [path for path in (*interpreter.readable, *packages) if not path.is_relative_to("/usr")]
    loader = [Path("/etc/ld.so.cache"), Path("/etc/alternatives")]  # where libraries are looked up
    wanted += [path for path in loader if path.exists()]
    return list(dict.fromkeys([*wanted, *(path.absolute() for path in job.readable)]))
