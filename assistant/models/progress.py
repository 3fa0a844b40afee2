"""What a pull reports while it goes on, and watching a download that reports nothing itself."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far a pull has come."""

    stage: str
    """What is being done, in words for a status line."""
    fraction: float | None = None
    """Of this stage, 0 to 1, or None where it is not known."""


ReportPull = Callable[[PullProgress], None]


@contextlib.contextmanager
def watched_growth(
    stage: str, total: int | None, measure: Callable[[], int], report: ReportPull
) -> Generator[None]:
    """Report how much has arrived while a download goes on elsewhere.

    Args:
        stage: What it is called.
        total: Bytes to arrive, or None where that is not known.
        measure: Returns the bytes that are there now.
        report: Told on a thread of its own; only when something has changed.
    """
    report(PullProgress(stage=stage, fraction=0.0 if total else None))
    ended = threading.Event()

    def watch() -> None:
        last = 0
        while not ended.wait(POLL_S):
            arrived = measure()
            if arrived > last and total:
                report(PullProgress(stage=stage, fraction=min(arrived / total, 1.0)))
            last = max(last, arrived)

    thread = threading.Thread(target=watch, name="download-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def measure_files(directory: Path) -> list[int]:
    """Return the sizes of all files below a directory. Those that vanish meanwhile are passed over."""
    sizes: list[int] = []
    for parent, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                sizes.append((Path(parent) / name).lstat().st_size)
    return sizes
