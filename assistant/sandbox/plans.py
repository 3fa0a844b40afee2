"""The plan that is handed to the bootstrap: limits, the job's source, descriptors. Starts nothing."""

from __future__ import annotations

import marshal
import os
import resource
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from assistant.sandbox.interface import Job, Limits

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
def bootstrap_text() -> str:
    """The bootstrap's source."""
    return Path(__file__).with_name("bootstrap.py").read_text(encoding="utf-8")


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


def write_plan(job: Job, limits: Limits, *, ready: int, channel: int, user: int) -> int:
    """Write a plan and return a descriptor to read it from, which the caller closes.

    Args:
        job: What is to run.
        limits: What it may use.
        ready: The descriptor that the bootstrap reports to.
        channel: The job's end of its channel, or -1.
        user: The number of the user to become, or 0 to stay.
    """
    plan = {
        "source": job.source,
        "limits": build_limits(limits),
        "ready": ready,
        "channel": channel,
        "user": user,
        "packages": [str(path) for path in read_interpreter().packages] if job.has_packages else [],
    }
    descriptor = os.memfd_create("plan")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        marshal.dump(plan, file)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor
