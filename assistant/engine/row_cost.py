"""What a further row of a decode step costs: little where memory is slow, much where it is fast.

It is learnt from steps. Knows no tensors, no clock and no requests.
"""

from __future__ import annotations

from assistant.engine.lookup import ROW_COST

WEIGHT = 0.1
"""Of each step in what is known."""
LOWEST, HIGHEST = 0.01, 1.0
"""A step that was disturbed says little."""


class RowCost:
    """The cost for one engine."""

    def __init__(self) -> None:
        self.share = ROW_COST
        """Of the time that a step with one row takes."""
        self._single: dict[int, float] = {}
        """Seconds that a step with one row takes, by threads."""

    def note(self, rows: int, threads: int, seconds: float) -> None:
        """Learn how long a step took.

        Args:
            rows: 1 or more.
            threads: Steps are compared with those that had as many.
            seconds: What it took.
        """
        single = self._single.get(threads)
        if rows == 1:
            self._single[threads] = seconds if single is None else single + WEIGHT * (seconds - single)
        elif single:
            share = (seconds / single - 1) / (rows - 1)
            self.share += WEIGHT * (min(max(share, LOWEST), HIGHEST) - self.share)
