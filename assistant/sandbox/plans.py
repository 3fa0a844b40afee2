"""The plan that is handed to the bootstrap: limits, the job's source, descriptors. Starts nothing."""

from __future__ import annotations

import marshal
import os
import resource
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import CodeType

from assistant.sandbox.interface import Job, Limits

OTHER_USERS = range(0x70000000, 0x70010000)
START = (
    "import marshal, sys\n"
    "with open(int(sys.argv[1]), 'rb') as file: plan = marshal.load(file)\n"
    "names = {'__name__': 'bootstrap'}\n"
    "exec(plan['bootstrap'], names)\n"
    "names['begin'](plan)\n"
)
MARGIN_CPU_S = 1
"""A program that stands the signal at its limit is killed so long after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The Python that jobs run with: this program's own, without its virtual environment."""

    program: Path
    """Its real path, so that no chain of links has to be there in a sandbox."""
    readable: tuple[Path, ...]
    """What it needs of its own to start."""
    packages: tuple[Path, ...]
    """Where what is installed beside this program lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a job keeps where it confines itself, because nothing is around it."""

    readable: tuple[Path, ...]
    writable: tuple[Path, ...]
    program: bytes
    """The system call filter."""
    user: int
    """The number of the user that it becomes where we are root, or 0."""


@lru_cache(maxsize=1)
def read_interpreter() -> Interpreter:
    """Find this program's Python. Only its programs and libraries: its prefix may be `~/.local`."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    program = Path(base).resolve()
    prefixes = {Path(sys.base_prefix).resolve(), Path(sys.base_exec_prefix).resolve(), program.parent.parent}
    parts = [prefix / name for prefix in sorted(prefixes) for name in ("bin", "lib", "lib64")]
    stores = [Path(store) for store in ("/nix/store", "/gnu/store") if program.is_relative_to(store)]
    packages = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    return Interpreter(
        program=program,
        readable=tuple(path for path in parts + stores if path.is_dir()),
        packages=tuple(dict.fromkeys(path.resolve() for path in packages if path.is_dir())),
    )


@lru_cache(maxsize=1)
def build_start() -> tuple[str, ...]:
    """The command that carries out a plan; it wants the plan's descriptor as its argument."""
    return (str(read_interpreter().program), "-I", "-S", "-u", "-X", "utf8", "-c", START)


@lru_cache(maxsize=2)
def _compile_text(name: str) -> CodeType:
    """Compile a program for the inside. It is the same Python there."""
    return compile(Path(__file__).with_name(name).read_bytes(), f"<{name}>", "exec", dont_inherit=True)


def choose_user(job_number: int) -> int:
    """The user that a job becomes where we are root, who is held to no number of processes; else 0."""
    users = _find_users() if os.geteuid() == 0 else range(0)
    return users[(os.getpid() * 64 + job_number) % len(users)] if users else 0


@lru_cache(maxsize=1)
def _find_users() -> range:
    """Numbers of users that nobody is likely to have. A container may know few: `man user_namespaces`."""
    lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    end = max(int(first) + int(count) for first, _, count in map(str.split, lines))
    return OTHER_USERS if end > OTHER_USERS.stop else range(max(end - 1000, 1), end)


def build_limits(limits: Limits) -> dict[int, tuple[int, int]]:
    """The limits as `setrlimit` takes them: soft and hard, by resource."""
    found = {
        resource.RLIMIT_CPU: (limits.cpu_s, limits.cpu_s + MARGIN_CPU_S),
        resource.RLIMIT_AS: (limits.memory_bytes, limits.memory_bytes),
        resource.RLIMIT_FSIZE: (limits.file_bytes, limits.file_bytes),
        resource.RLIMIT_NOFILE: (limits.open_files, limits.open_files),
        resource.RLIMIT_CORE: (0, 0),
    }
    if hasattr(resource, "RLIMIT_NPROC"):
        found[resource.RLIMIT_NPROC] = (limits.processes, limits.processes)
    return found


def write_plan(
    job: Job, limits: Limits, *, ready: int, channel: int, user: int, rights: Rights | None
) -> int:
    """Write a plan and return a descriptor to read it from, which the caller closes.

    Args:
        job: What is to run.
        limits: What it may use.
        ready: The descriptor that the bootstrap reports to.
        channel: The job's end of its channel, or -1.
        user: The number of the user to become at first, or 0 to stay.
        rights: What to keep, where the job has to confine itself.
    """
    plan = {
        "source": job.source,
        "limits": build_limits(limits),
        "ready": ready,
        "channel": channel,
        "user": user,
        "packages": [str(path) for path in read_interpreter().packages] if job.has_packages else [],
        "bootstrap": _compile_text("bootstrap.py"),
        "confining": _compile_text("confining.py") if rights else None,
        "rights": _render(rights) if rights else {},
    }
    descriptor = os.memfd_create("plan")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        marshal.dump(plan, file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _render(rights: Rights) -> dict[str, object]:
    return {
        "parent": os.getpid(),
        "user": rights.user,
        "readable": [str(path) for path in rights.readable],
        "writable": [str(path) for path in rights.writable],
        "program": rights.program,
    }
