"""Texts that must not be learnt, kept as hashes: enough to recognise them, too little to learn them from.

A text is cut into runs of `RUN_WORDS` words, without case and signs. A part of a problem (its task, its
solution, its tests) is found in a row where at least `FOUND` of its runs are; a shorter part where all of it
is, as one run. N-gram overlap is how training data is commonly freed of benchmarks (Brown et al. 2020,
appendix C, with runs of 8 to 13 words). A problem in other words is not found by it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

RUN_WORDS = 10
LEAST_WORDS = 6
"""A part with fewer words could be anybody's: `return a + b`."""
FOUND = 0.5
HASH_BYTES = 6
MAX_RUNS = 32
"""Of a long part the runs with the smallest hashes are kept: a sample that does not depend on the row."""
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """One part of one problem."""

    problem: str
    """How the report calls it: HumanEval/12."""
    words: int
    """How many words a run has: `RUN_WORDS`, or all of a shorter part."""
    runs: frozenset[int]


def build_fingerprints(problem: str, parts: Iterable[str]) -> list[Fingerprint]:
    """Fingerprint the parts of a problem that are long enough to be told from anybody's text."""
    found: list[Fingerprint] = []
    for part in parts:
        words = split_words(part)
        if len(words) >= LEAST_WORDS:
            length = min(RUN_WORDS, len(words))
            runs = sorted(hash_runs(words, length))[:MAX_RUNS]
            found.append(Fingerprint(problem=problem, words=length, runs=frozenset(runs)))
    return found


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case; a name_of_parts is its parts."""
    return _WORD.findall(text.lower())


def hash_runs(words: Sequence[str], length: int) -> set[int]:
    """Return the hash of every run of so many words."""
    return {
        int.from_bytes(
            hashlib.blake2b(" ".join(words[start : start + length]).encode(), digest_size=HASH_BYTES).digest()
        )
        for start in range(len(words) - length + 1)
    }


class Matcher:
    """Finds problems in texts."""

    def __init__(self, fingerprints: Sequence[Fingerprint]) -> None:
        self._fingerprints = tuple(fingerprints)
        self._by_run: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        for number, fingerprint in enumerate(self._fingerprints):
            for run in fingerprint.runs:
                self._by_run[fingerprint.words][run].append(number)

    def find(self, texts: Iterable[str]) -> str | None:
        """Return the problem that these texts hold most of, or None.

        Args:
            texts: Parts of a row; a run of words does not go from one to another.
        """
        counts: dict[int, int] = defaultdict(int)
        pieces = [split_words(text) for text in texts]
        for length, by_run in self._by_run.items():
            there: set[int] = set()
            there.update(*(hash_runs(words, length) for words in pieces))
            for run in there & by_run.keys():
                for number in by_run[run]:
                    counts[number] += 1
        shares = {number: count / len(self._fingerprints[number].runs) for number, count in counts.items()}
        best = max(shares, key=lambda number: (shares[number], -number), default=None)
        return None if best is None or shares[best] < FOUND else self._fingerprints[best].problem


def render_fingerprints(fingerprints: Sequence[Fingerprint], origins: dict[str, str]) -> str:
    """Return fingerprints as JSON, the same for the same ones, one problem's part a line.

    Args:
        fingerprints: What to write.
        origins: What they were made of and its licence, by benchmark.
    """
    lines = [
        json.dumps([one.problem, one.words, _pack(one.runs)], separators=(",", ":")) for one in fingerprints
    ]
    head = json.dumps({"hash": f"blake2b-{HASH_BYTES * 8}", "origins": origins})
    return f'{head[:-1]}, "parts": [\n' + ",\n".join(lines) + "\n]}\n"


def parse_fingerprints(text: str) -> list[Fingerprint]:
    """Read what `render_fingerprints` wrote."""
    document = cast("dict[str, Any]", json.loads(text))
    return [
        Fingerprint(problem=problem, words=words, runs=_unpack(packed))
        for problem, words, packed in document["parts"]
    ]


def _pack(runs: frozenset[int]) -> str:
    return base64.b64encode(b"".join(run.to_bytes(HASH_BYTES) for run in sorted(runs))).decode()


def _unpack(packed: str) -> frozenset[int]:
    content = base64.b64decode(packed)
    return frozenset(
        int.from_bytes(content[start : start + HASH_BYTES]) for start in range(0, len(content), HASH_BYTES)
    )
