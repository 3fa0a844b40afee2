"""Counts into rates with intervals, and pairs into a judgement. Pure; knows no model and no suite."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

Z_95 = 1.959963984540054
"""The normal distribution's 97.5 % point: 95 % lie between it and its negative."""
RESAMPLES = 2000
"""Of a bootstrap; Efron and Tibshirani (1993), section 13.3, ask for 1000 or more for an interval."""
LOW, HIGH = 0.025, 0.975


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A share with its 95 % interval."""

    value: float
    low: float
    high: float


def estimate_pass_at_k(samples: int, passed: int, k: int) -> float:
    """Return the chance that at least one of `k` answers passes, without bias.

    1 - C(n - c, k) / C(n, k), of Chen et al., "Evaluating Large Language Models Trained on Code" (2021),
    section 2.1.

    Args:
        samples: n, the answers that were given.
        passed: c, those that passed.
        k: At most `samples`.

    Raises:
        ValueError: The numbers do not go together.
    """
    if not (0 <= passed <= samples and 1 <= k <= samples):
        raise ValueError(f"no pass@{k} of {passed} passed in {samples}")
    if samples - passed < k:
        return 1.0
    return 1.0 - math.comb(samples - passed, k) / math.comb(samples, k)


def wilson_interval(successes: int, trials: int) -> Rate:
    """Return a share of independent trials with its score interval.

    Wilson, "Probable inference, the law of succession, and statistical inference" (1927). Unlike the
    textbook's, it stays between 0 and 1 and means something for shares of 0 and 1.

    Raises:
        ValueError: There was no trial.
    """
    if not 0 <= successes <= trials or not trials:
        raise ValueError(f"no share of {successes} in {trials}")
    share = successes / trials
    z2 = Z_95 * Z_95
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = Z_95 * math.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    low = 0.0 if successes == 0 else max(0.0, middle - spread)
    high = 1.0 if successes == trials else min(1.0, middle + spread)
    return Rate(value=share, low=low, high=high)


def bootstrap_mean(values: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES) -> Rate:
    """Return the mean of problems' values with its percentile interval, by drawing problems anew.

    Efron, "Bootstrap methods: another look at the jackknife" (1979). The problems are what is drawn: the
    answers to one are no independent trials.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("nothing to draw from")
    chance, count = random.Random(seed), len(values)
    means = sorted(math.fsum(chance.choices(values, k=count)) / count for _ in range(resamples))
    return Rate(
        value=math.fsum(values) / count, low=find_quantile(means, LOW), high=find_quantile(means, HIGH)
    )


def find_quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which a share of ordered values lies, between two of them by a straight line."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def mcnemar_p(gained: int, lost: int) -> float:
    """Return how likely so uneven a change is by chance: the exact two-sided test on paired shares.

    McNemar, "Note on the sampling error of the difference between correlated proportions" (1947), with the
    binomial distribution in place of its approximation: of the problems that changed, either way was equally
    likely.

    Args:
        gained: Problems that failed before and pass now.
        lost: Problems that passed before and fail now.
    """
    changed = gained + lost
    if not changed:
        return 1.0
    tail = sum(math.comb(changed, count) for count in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / 2**changed)


def choose_ks(samples: int) -> list[int]:
    """Return the k of the pass@k that are shown for so many answers: powers of two, and all of them."""
    powers = [2**power for power in range(samples.bit_length()) if 2**power <= samples]
    return powers if powers[-1] == samples else [*powers, samples]
