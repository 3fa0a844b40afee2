"""How many threads a decode step gets: what is fastest now, found out by trying. Knows no tensors, no clock.

All cores are fastest on a quiet machine. Beside another busy process they are slowest: each of a step's
many parallel parts waits for the thread that was put aside, and a step takes several times as long as with
one core less. So every number of threads is tried for a few steps now and then, ever more seldom while it
does not pay, and a step that got slow goes back at once.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

TRIAL = 4
"""Steps that a trial takes; their median counts."""
SOONEST, LATEST = 8, 1024
"""Steps between trials: doubled by each that did not pay."""
GAIN = 0.95
"""Another number must take at most this share of the time."""
SLOW, AT_ONCE = 1.3, 2.0
"""So many times as long as another number took last, and it is gone back to: the median, or a single step."""


def list_options(usable_cores: int) -> tuple[int, ...]:
    """Return the numbers of threads that are worth a trial, the usual one first."""
    wanted = (usable_cores - 1, usable_cores, usable_cores // 2)
    return tuple(dict.fromkeys(max(1, number) for number in wanted))


@dataclass(slots=True)
class _Size:
    """What is known of steps with about the same number of rows."""

    current: int
    tried: int
    """The option that is being tried, or the current one."""
    times: dict[int, deque[float]] = field(default_factory=dict[int, "deque[float]"])
    """By option, the seconds of its last steps."""
    since: int = 0
    """Steps since the last trial, or in this one."""
    interval: int = SOONEST
    trials: int = 0


class ThreadChoice:
    """The choice for one engine.

    Args:
        options: Numbers of threads; the first is the usual one.
    """

    def __init__(self, options: Sequence[int]) -> None:
        self._options = tuple(options)
        self._sizes: dict[int, _Size] = {}
        self._latest = self._options[0]
        """What steps of another size took last: the best that is known of a size that is new."""

    def choose(self, rows: int) -> int:
        """Return how many threads the next step with so many rows gets."""
        return self._find_size(rows).tried

    def note(self, rows: int, seconds: float) -> None:
        """Learn how long a step took, with the number of threads that was chosen for it."""
        if len(self._options) == 1:
            return
        size = self._find_size(rows)
        times = size.times.setdefault(size.tried, deque(maxlen=TRIAL))
        times.append(seconds)
        size.since += 1
        if size.tried != size.current:
            if size.since >= TRIAL or seconds > AT_ONCE * _median(size.times.get(size.current)):
                self._end_trial(size)
            return
        self._latest = size.current
        if self._is_slow(size):
            size.current = size.tried = min(
                self._others(size), key=lambda other: _median(size.times.get(other))
            )
            size.times.clear()  # what was known is of another time
            size.since, size.interval = 0, SOONEST
        elif size.since >= size.interval:
            others = self._others(size)
            size.tried = others[size.trials % len(others)]
            size.times.pop(size.tried, None)
            size.since, size.trials = 0, size.trials + 1

    def _end_trial(self, size: _Size) -> None:
        new, old = _median(size.times[size.tried]), _median(size.times.get(size.current))
        if new <= GAIN * old:
            size.current, size.interval = size.tried, SOONEST
        else:
            size.tried, size.interval = size.current, min(LATEST, 2 * size.interval)
        size.since = 0

    def _is_slow(self, size: _Size) -> bool:
        own = size.times[size.current]
        known = min(_median(size.times.get(other)) for other in self._others(size))
        return own[-1] > AT_ONCE * known or (len(own) == TRIAL and _median(own) > SLOW * known)

    def _others(self, size: _Size) -> list[int]:
        return [option for option in self._options if option != size.current]

    def _find_size(self, rows: int) -> _Size:
        key = rows.bit_length()
        if key not in self._sizes:
            self._sizes[key] = _Size(current=self._latest, tried=self._latest)
        return self._sizes[key]


def _median(times: Collection[float] | None) -> float:
    return statistics.median(times) if times else math.inf
