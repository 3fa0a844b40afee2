"""Divides rows into those to train on and those held out: by cluster, never by row, and by a seed.

What shares a cluster stays together: rows with near code, and rows of one family. A family is a file, as long
as no file holds most of the rows; else a function. The order of clusters comes from a hash of their content
and the seed, so that rows that are added or removed elsewhere move no other.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from finetune.cleaning.duplicates import Groups
from finetune.examples import Example

EVAL_SHARE = 0.05
TOO_COARSE = 0.5
"""A family that holds more of the rows than this is divided one level finer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Which rows are held out."""

    held_out: frozenset[int]
    """By their position."""
    family_level: int
    """Which of `Example.families` was kept together: 0 the coarsest."""
    clusters: tuple[int, ...]
    """For each row the cluster it belongs to."""


def split_rows(examples: Sequence[Example], near: Sequence[int], *, share: float, seed: int) -> Split:
    """Choose the rows to hold out.

    Args:
        examples: All rows.
        near: For each row the number of its group of near rows, as `build_clusters` returns them.
        share: Of the rows, at least one where that is more than nothing and there are two clusters.
        seed: Another one chooses others.
    """
    levels = max((len(example.families) for example in examples), default=0)
    for level in range(levels + 1):
        clusters = _join_families(examples, near, level)
        sizes = _measure(clusters)
        if level == levels or max(sizes.values()) <= TOO_COARSE * len(examples):
            held_out = _choose(examples, clusters, share, seed)
            return Split(held_out=held_out, family_level=level, clusters=tuple(clusters))
    raise AssertionError("the last level returns")


def _join_families(examples: Sequence[Example], near: Sequence[int], level: int) -> list[int]:
    groups = Groups(len(examples))
    first: dict[str, int] = {}
    for number, example in enumerate(examples):
        groups.join(number, near[number])
        # A family that ends early (a file without functions) stands for its finer levels too.
        for family in example.families[level:]:
            groups.join(number, first.setdefault(family, number))
    return [groups.find(number) for number in range(len(examples))]


def _measure(clusters: Sequence[int]) -> dict[int, int]:
    sizes: dict[int, int] = defaultdict(int)
    for cluster in clusters:
        sizes[cluster] += 1
    return sizes or {0: 0}


def _choose(examples: Sequence[Example], clusters: Sequence[int], share: float, seed: int) -> frozenset[int]:
    wanted = max(round(share * len(examples)), 1) if share > 0 else 0
    members: dict[int, list[int]] = defaultdict(list)
    for number, cluster in enumerate(clusters):
        members[cluster].append(number)
    if len(members) < 2:
        return frozenset()
    order = sorted(members, key=lambda cluster: _draw(examples, members[cluster], seed))
    chosen: list[int] = []
    for cluster in order:
        # One that is far too large would take what is meant for training.
        if len(chosen) < wanted and len(chosen) + len(members[cluster]) <= 2 * wanted:
            chosen += members[cluster]
    if not chosen and wanted:
        chosen = members[min(order, key=lambda cluster: len(members[cluster]))]
    return frozenset(chosen)


def _draw(examples: Sequence[Example], members: Sequence[int], seed: int) -> bytes:
    """Return what a cluster is sorted by: the smallest hash of its rows."""
    return min(
        hashlib.blake2b(f"{seed}\0{examples[number].text}".encode(), digest_size=16).digest()
        for number in members
    )
