"""From the engine's thread to the event loop: the reports of one job, in order, never making the engine wait.

Knows no model and no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from assistant.engine.interface import Report

FULL_AT = 256
"""So many unread reports, and the reader counts as one that does not read."""
FULL_TIMEOUT_S = 10.0
"""What arrives meanwhile is kept. It is at most what a model says in that time."""


class Channel:
    """The reports of one job.

    Args:
        on_report: Called for each report when it arrives, read or not.
        on_stuck: Called once the reader has lagged behind for too long.
    """

    def __init__(self, *, on_report: Callable[[Report], None], on_stuck: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_report = on_report
        self._on_stuck = on_stuck
        self._reports: list[Report] = []
        self._arrived = asyncio.Event()
        self._full_timer: asyncio.TimerHandle | None = None

    def put(self, report: Report) -> None:
        """Take a report. On any thread; returns at once and never raises."""
        with contextlib.suppress(RuntimeError):  # the event loop has ended, and nobody reads
            self._loop.call_soon_threadsafe(self._take, report)

    async def get(self) -> list[Report]:
        """Wait for a report; return all that are there."""
        while not self._reports:
            self._arrived.clear()
            await self._arrived.wait()
        reports, self._reports = self._reports, []
        if self._full_timer is not None:
            self._full_timer.cancel()
            self._full_timer = None
        return reports

    def _take(self, report: Report) -> None:
        self._reports.append(report)
        self._arrived.set()
        self._on_report(report)
        if self._full_timer is None and len(self._reports) >= FULL_AT:
            self._full_timer = self._loop.call_later(FULL_TIMEOUT_S, self._on_stuck)
