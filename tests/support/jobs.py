"""Jobs for an engine without a server, and what they report."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

from assistant.engine.interface import Ended, Finished, Job, Piece, Report
from assistant.requests import FinishReason, Sampling


class Collected:
    """A job's reports."""

    def __init__(self, ids: Sequence[int], **sampling: Any) -> None:
        self.reports: list[Report] = []
        self.ended = threading.Event()
        self.first = threading.Event()
        self.job = Job(ids=ids, sampling=Sampling(**{"seed": 1, **sampling}), sink=self._take)

    def _take(self, report: Report) -> None:
        self.reports.append(report)
        self.first.set()
        if isinstance(report, Ended):
            self.ended.set()

    def wait(self) -> Collected:
        assert self.ended.wait(20)
        return self

    def text(self, index: int = 0) -> str:
        return "".join(r.text for r in self.reports if isinstance(r, Piece) and r.index == index)

    def reasons(self) -> dict[int, FinishReason]:
        return {r.index: r.reason for r in self.reports if isinstance(r, Finished)}

    def end(self) -> Ended:
        return cast("Ended", self.reports[-1])
