"""One line that says how an evaluation comes along, with the time left; elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator

from assistant.commands.first_model import render_bar
from assistant.commands.messages import Messages
from assistant.evaluation.evaluating import Progress
from assistant.evaluation.records import Record

REDRAW_S = 0.1
TOLD_EVERY_S = 60.0
"""Where no line can be rewritten: a log should show that it lives, and no more."""
LEAST_ANSWERS = 2
"""So many must have come before the end is guessed."""


class EvaluationLine:
    """Follows one evaluation. Any thread may report.

    Args:
        messages: Where it is shown.
        record: What is evaluated.
        clock: Seconds, from any start.
    """

    def __init__(
        self, messages: Messages, record: Record, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._messages = messages
        self._what = f"{record.model} on {record.suite_name}"
        self._clock = clock
        self._lock = threading.Lock()
        self._began = clock()
        self._shown_at = self._told_at = self._began

    @contextlib.contextmanager
    def shown(self) -> Generator[EvaluationLine]:
        """Show it until the block ends, however it ends."""
        try:
            yield self
        finally:
            self.end()

    def report(self, progress: Progress) -> None:
        """Show how far it is, ten times a second at most."""
        now = self._clock()
        with self._lock:
            is_last = progress.answered == progress.judged == progress.total
            if self._messages.has_status:
                if now - self._shown_at >= REDRAW_S or is_last:
                    self._shown_at = now
                    self._messages.show_status(self.render(progress))
            elif now - self._told_at >= TOLD_EVERY_S:
                self._told_at = now
                self._messages.tell(self.render(progress))

    def show(self, stage: str) -> None:
        """Show what else is being done."""
        self._messages.show_status(stage)

    def end(self) -> None:
        """Take the line away."""
        self._messages.show_status("")

    def render(self, progress: Progress) -> str:
        """Return the line."""
        if progress.stage:
            return f"{self._what} · {progress.stage}"
        share = progress.answered / progress.total if progress.total else 1.0
        parts = [f"{self._what} {render_bar(share)}"]
        made = progress.answered - progress.earlier
        left = progress.total - progress.answered
        if left and made >= LEAST_ANSWERS:
            parts.append(f"{render_left((self._clock() - self._began) / made * left)} left")
        if progress.judged:
            parts.append(f"{progress.passed} of {progress.judged} pass")
        if not left and progress.judged < progress.total:
            parts.append(f"judging {progress.total - progress.judged}")
        return " · ".join(parts)


def render_left(seconds: float) -> str:
    """Write a duration that need not be exact."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
