"""One line that says how long work comes along: a bar and the time left, on a terminal."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator

from assistant.commands.first_model import render_bar
from assistant.commands.messages import Messages
from finetune.progress import Report, Step

REDRAW_S = 0.1
LEAST_S = 1.0
"""So long a stage must have run before its end is guessed."""


class StepLine:
    """Shows steps as they are reported.

    Args:
        messages: Where.
        clock: Seconds, from any start.
    """

    def __init__(self, messages: Messages, clock: Callable[[], float] = time.monotonic) -> None:
        self._messages = messages
        self._clock = clock
        self._stage = ""
        self._began = 0.0
        self._shown_at = 0.0

    def report(self, step: Step) -> None:
        """Show a step, ten a second at most; the first of a stage always."""
        now = self._clock()
        if step.stage != self._stage:
            self._stage, self._began = step.stage, now
        elif now - self._shown_at < REDRAW_S:
            return
        self._shown_at = now
        self._messages.show_status(render_step(step, now - self._began))

    def end(self) -> None:
        """Take the line away."""
        self._messages.show_status("")


@contextlib.contextmanager
def showing_steps(messages: Messages) -> Generator[Report]:
    """Show progress until the block ends, however it ends."""
    line = StepLine(messages)
    try:
        yield line.report
    finally:
        line.end()


def render_step(step: Step, elapsed_s: float) -> str:
    """Return the line for a step that has taken so long."""
    if not step.total:
        return f"{step.stage} …" if step.stage else ""
    line = f"{step.stage} {render_bar(step.done / step.total)}"
    if elapsed_s >= LEAST_S and step.done:
        left = elapsed_s / step.done * (step.total - step.done)
        line = f"{line} · {render_left(left)} left"
    return f"{line} · {step.detail}" if step.detail else line


def render_left(seconds: float) -> str:
    """Write a duration that need not be exact."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
