"""What processor this is, as the system tells it. Knows no torch."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def usable_cores() -> int:
    """Cores that this process may use, which in a container is fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """The model's name, or what kind of machine it is where the system tells no more."""
    return next(iter(_lines("model name")), "") or platform.processor() or platform.machine()


def processor_flags() -> frozenset[str]:
    """The instruction sets, as Linux names them; empty elsewhere."""
    return frozenset(next(iter(_lines("flags")), "").split())


def _lines(key: str) -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(key)]
