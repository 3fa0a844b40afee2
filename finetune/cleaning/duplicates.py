"""Rows that say the same: equal ones, and near ones by MinHash (Broder 1997) with an exact check of each hit.

Two rows are near duplicates where at least `NEAR` of their shingles are common, over task, input and code.
Rows whose *code* is near belong together without being duplicates: they must not be divided between training
and evaluation. Shingles are runs of five words or signs, as in Lee et al. (2021) and Magicoder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from finetune.examples import Example, Reason, Reject
from finetune.progress import Report, report_nothing, track

NEAR = 0.7
"""Jaccard similarity from which on two texts are called near; Magicoder's value."""
SHINGLE_TOKENS = 5
PERMUTATIONS = 150
BANDS = 30
"""Bands of five: a pair at 0.7 is missed 4 times in 1,000, one at 0.3 is looked at in 7 of 100."""
_SURELY_FAR = NEAR - 0.12
"""Three times the standard error of a sketch's estimate: pairs below it need no exact check."""
_TOKEN = re.compile(r"\w+|[^\w\s]")


class Neighbors:
    """Finds which of the texts so far are near another. Keeps the texts, as every hit is checked exactly."""

    def __init__(self) -> None:
        self._sketches: Any = import_module("rensa")
        self._index = self._sketches.RMinHashLSH(threshold=NEAR, num_perm=PERMUTATIONS, num_bands=BANDS)
        self._texts: dict[int, str] = {}
        self._known: dict[int, Any] = {}

    def find(self, text: str) -> list[int]:
        """Return the keys of the texts that are near this one, in the order they were added."""
        shingles = build_shingles(text)
        sketch = self._sketch(shingles)
        candidates: set[int] = set(self._index.query(sketch))
        return [
            key
            for key in sorted(candidates)
            if sketch.jaccard(self._known[key]) >= _SURELY_FAR
            and measure_overlap(shingles, build_shingles(self._texts[key])) >= NEAR
        ]

    def add(self, key: int, text: str) -> None:
        """Remember a text."""
        sketch = self._sketch(build_shingles(text))
        self._index.insert(key, sketch)
        self._known[key], self._texts[key] = sketch, text

    def _sketch(self, shingles: frozenset[str]) -> Any:
        sketch = self._sketches.RMinHash(num_perm=PERMUTATIONS, seed=0)
        sketch.update(sorted(shingles))
        return sketch


def build_shingles(text: str) -> frozenset[str]:
    """Return the runs of words and signs of a text; the whole of one that is shorter than a run."""
    tokens = _TOKEN.findall(text)
    count = max(1, len(tokens) - SHINGLE_TOKENS + 1)
    return frozenset(" ".join(tokens[start : start + SHINGLE_TOKENS]) for start in range(count))


def measure_overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the Jaccard similarity of two sets."""
    return len(one & other) / len(one | other)


def drop_duplicates(
    examples: Sequence[Example], report: Report = report_nothing
) -> tuple[list[Example], list[Reject]]:
    """Keep the first of rows that say the same. Rows of different kinds are never the same."""
    kept: list[Example] = []
    rejects: list[Reject] = []
    seen: dict[bytes, Example] = {}
    neighbors: dict[str, Neighbors] = {}
    for number, example in enumerate(track(examples, "looking for duplicates", report)):
        key = _hash(example)
        near = neighbors.setdefault(example.kind.value, Neighbors())
        if key in seen:
            rejects.append(_reject(example, Reason.DUPLICATE, seen[key]))
        elif found := near.find(example.text):
            rejects.append(_reject(example, Reason.NEAR_DUPLICATE, examples[found[0]]))
        else:
            near.add(number, example.text)
            seen[key] = example
            kept.append(example)
    return kept, rejects


def build_clusters(examples: Sequence[Example], report: Report = report_nothing) -> list[int]:
    """Return for each row the number of its cluster: rows whose code is near, or near the same, share one."""
    near = Neighbors()
    clusters = Groups(len(examples))
    same: dict[str, int] = {}
    for number, example in enumerate(track(examples, "grouping near rows", report)):
        if example.code in same:
            clusters.join(number, same[example.code])
            continue
        same[example.code] = number
        for other in near.find(example.code):
            clusters.join(number, other)
        near.add(number, example.code)
    return [clusters.find(number) for number in range(len(examples))]


class Groups:
    """Numbers that belong together (union-find). A group goes by its smallest number."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def find(self, number: int) -> int:
        """Return the group of a number."""
        root = number
        while self._above[root] != root:
            root = self._above[root]
        while self._above[number] != root:
            self._above[number], number = root, self._above[number]
        return root

    def join(self, one: int, other: int) -> None:
        """Make two groups one."""
        low, high = sorted((self.find(one), self.find(other)))
        self._above[high] = low

    def join_all(self, numbers: Iterable[int]) -> None:
        """Make the groups of these numbers one."""
        first, *rest = numbers
        for number in rest:
            self.join(first, number)


def _hash(example: Example) -> bytes:
    """White space does not count, but where a line begins with it: it means something there."""
    lines = [re.sub(r"(?<=\S)\s+", " ", line).rstrip() for line in example.code.split("\n")]
    words = [" ".join(text.split()) for text in (example.task, example.input)]
    content = "\0".join([example.kind.value, *words, "\n".join(line for line in lines if line)])
    return hashlib.blake2b(content.encode(), digest_size=16).digest()


def _reject(example: Example, reason: Reason, first: Example) -> Reject:
    return Reject(place=example.place, reason=reason, detail=f"of {first.place}", kind=example.kind)
