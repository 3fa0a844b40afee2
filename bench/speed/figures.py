"""From timings to medians and ratios. Pure: knows no peer, no process and no clock.

Every ratio is taken within a round, where both sides met the same machine; the median of the rounds is told.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OURS = "ours"
HF_NF4 = "HF nf4"
FIRST_TOKEN_FAMILIES = frozenset({"llama.cpp", "ort"})
"""Whose first token ours is compared with."""

ByRound = dict[int, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer of one engine."""

    engine: str
    kind: str
    round: int
    tokens: int
    first_s: float
    decode_s: float


@dataclass(slots=True, kw_only=True)
class OwnFigures:
    """What is measured of ours alone, round by round."""

    same: int = 0
    compared: int = 0
    """Answers with and without prompt lookup: so many are the same, of so many."""
    chat_warm: ByRound = field(default_factory=dict[int, float])
    """First token of a third turn after the second, as a share of the same turn cold."""
    repeated: ByRound = field(default_factory=dict[int, float])
    """First token of an action done again in the same file, as a share of the first time."""
    batch: ByRound = field(default_factory=dict[int, float])
    """Tokens a second of 8 answers at once, as a multiple of one's."""
    clients_first: ByRound = field(default_factory=dict[int, float])
    """The slowest first token of 4 clients at once, as a multiple of its own alone."""
    clients_all: ByRound = field(default_factory=dict[int, float])
    """Tokens a second of 4 clients at once, as a multiple of one after another."""
    loaded: ByRound = field(default_factory=dict[int, float])
    """Tokens a second beside a busy process, as a share of those alone."""


def find_speeds(samples: Iterable[Sample], engine: str, kind: str) -> ByRound:
    """Return an engine's tokens a second in each round: of all answers, after their first tokens."""
    tokens: ByRound = {}
    seconds: ByRound = {}
    for one in samples:
        if (one.engine, one.kind) == (engine, kind) and one.tokens > 1:
            tokens[one.round] = tokens.get(one.round, 0) + one.tokens - 1
            seconds[one.round] = seconds.get(one.round, 0) + one.decode_s
    return {number: tokens[number] / seconds[number] for number in tokens if seconds[number] > 0}


def find_firsts(samples: Iterable[Sample], engine: str, kind: str) -> ByRound:
    """Return an engine's seconds until the first token in each round, the median of all answers."""
    found: dict[int, list[float]] = {}
    for one in samples:
        if (one.engine, one.kind) == (engine, kind):
            found.setdefault(one.round, []).append(one.first_s)
    return {number: statistics.median(values) for number, values in found.items()}


def find_median(values: Mapping[int, float]) -> float | None:
    """Return the rounds' median, or None where there is none."""
    return statistics.median(values.values()) if values else None


def find_ratio(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float | None:
    """Return the median of the ratios within rounds, or None where no round has both."""
    return find_median({n: ours[n] / theirs[n] for n in ours.keys() & theirs.keys() if theirs[n]})


def find_best(
    figures: Mapping[str, Mapping[int, float]], *, choose: Callable[..., float] = max
) -> str | None:
    """Return the engine with the highest median, or the lowest with `choose=min`; None if there is none."""
    medians = {name: statistics.median(rounds.values()) for name, rounds in figures.items() if rounds}
    if not medians:
        return None
    best = choose(medians.values())
    return next(name for name, value in medians.items() if value == best)


def build_ratios(
    samples: Sequence[Sample],
    families: Mapping[str, str],
    own: OwnFigures,
    large: Mapping[str, Any],
    machine: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the one object of ratios: a speed above 1 and a time below 1 mean that ours is better.

    What was not measured, or has nothing to be compared with, is None.

    Args:
        samples: Every answer.
        families: Of each engine, by its name.
        own: What is measured of ours alone.
        large: As it shall stand there.
        machine: As it shall stand there.
    """
    peers = [name for name in families if name != OURS]
    quick = [name for name in peers if families[name] in FIRST_TOKEN_FAMILIES]
    shares = [share for share in map(find_median, (own.chat_warm, own.repeated)) if share is not None]
    return {
        "write": {
            "decode_vs_hf_nf4": _compare_speed(samples, "write", [HF_NF4]),
            "decode_vs_best_peer": _compare_speed(samples, "write", peers),
            "ttft_vs_best_peer": _compare_firsts(samples, "write", quick),
        },
        "edit": {
            "decode_vs_best_peer": _compare_speed(samples, "edit", peers),
            "identical": own.same / own.compared if own.compared else None,
        },
        # Two requirements share a number: the worse of a third turn and an action done again.
        "chat": {"ttft_vs_cold": max(shares, default=None)},
        "batch8": {"vs_one": find_median(own.batch)},
        "clients4": {
            "ttft_vs_alone": find_median(own.clients_first),
            "aggregate_vs_one": find_median(own.clients_all),
        },
        "large": dict(large),
        "machine": dict(machine),
    }


def build_aggregate(together: Sequence[Mapping[str, Any]], alone: Sequence[Mapping[str, Any]]) -> float:
    """Return how many times as many tokens a second come when requests run at once, prompts included.

    Args:
        together: The timings of requests that came at once.
        alone: Those of the same requests, one after another.
    """
    at_once = sum(one["tokens"] for one in together) / max(
        one["first_s"] + one["decode_s"] for one in together
    )
    one_by_one = sum(one["tokens"] for one in alone) / sum(one["first_s"] + one["decode_s"] for one in alone)
    return at_once / one_by_one


def build_slowest_first(together: Sequence[Mapping[str, Any]], alone: Sequence[Mapping[str, Any]]) -> float:
    """Return by how much a request's first token came later than alone, for the one that waited longest."""
    return max(one["first_s"] / quiet["first_s"] for one, quiet in zip(together, alone, strict=True))


def _compare_speed(samples: Sequence[Sample], kind: str, peers: Collection[str]) -> float | None:
    figures = {name: find_speeds(samples, name, kind) for name in peers}
    best = find_best(figures)
    return find_ratio(find_speeds(samples, OURS, kind), figures[best]) if best else None


def _compare_firsts(samples: Sequence[Sample], kind: str, peers: Collection[str]) -> float | None:
    figures = {name: find_firsts(samples, name, kind) for name in peers}
    best = find_best(figures, choose=min)
    return find_ratio(find_firsts(samples, OURS, kind), figures[best]) if best else None
