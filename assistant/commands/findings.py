"""What the doctor finds, one line each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How good a finding is."""

    OK = "ok"
    WARN = "warn"
    """It works, and not as well as it might."""
    FAIL = "fail"
    """Something essential does not work."""


COLORS = {Level.OK: "\x1b[32m", Level.WARN: "\x1b[33m", Level.FAIL: "\x1b[31m"}
PLAIN = "\x1b[0m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    text: str
    level: Level = Level.OK
    to_do: str = ""
    """A command or a deed that mends it; empty where there is nothing to do."""


def render_bytes(count: float) -> str:
    """Write a size in GiB, or in MiB where it is small."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
