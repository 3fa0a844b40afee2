"""Which requests run now, and what the last answers were like. Knows no HTTP and no model."""

from __future__ import annotations

import logging
import time
from collections import deque

from assistant.engine.interface import Ended, Job
from assistant.server.rendering import Tally

RATES = 16
"""The status page's speed is the mean of so many answers."""

_log = logging.getLogger(__name__)


class Ledger:
    """The requests of one server. Used on the event loop alone."""

    def __init__(self) -> None:
        self.answered = 0
        """Requests that the engine is done with, whatever their end."""
        self.taken_back = 0
        """Lines that the syntax guard took back."""
        self.gave_up = 0
        """Answers in which it left an error."""
        self._jobs: dict[str, Job] = {}
        self._rates: deque[float] = deque(maxlen=RATES)

    def enter(self, request_id: str, job: Job) -> None:
        """Note that a job runs."""
        self._jobs[request_id] = job

    def leave(self, request_id: str, tally: Tally) -> None:
        """Note that the engine is done with a job."""
        self._jobs.pop(request_id, None)
        self.answered += 1
        rate = tally.tokens_per_s()
        if rate is not None:
            self._rates.append(rate)
        ended = tally.ended or Ended()
        self.taken_back += ended.taken_back
        self.gave_up += ended.gave_up
        error = ended.error
        _log.info(
            "%s: %s, %d prompt tokens, %d completion tokens, %.3f s",
            request_id,
            type(error).__name__ if error else "/".join(str(reason) for reason in tally.reasons),
            tally.prompt_tokens,
            tally.completion_tokens,
            time.monotonic() - tally.accepted_at,
        )

    def cancel(self, request_id: str) -> bool:
        """End a request, or return False where none of that id runs."""
        job = self._jobs.get(request_id)
        if job is not None:
            job.cancelled.set()
        return job is not None

    def cancel_all(self) -> None:
        """End everything."""
        for job in self._jobs.values():
            job.cancelled.set()

    def tokens_per_s(self) -> float | None:
        """The mean speed of the last answers, or None where there was none."""
        return round(sum(self._rates) / len(self._rates), 2) if self._rates else None
