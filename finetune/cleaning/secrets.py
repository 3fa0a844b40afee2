"""Finds keys, passwords and tokens in a text. Nothing is verified: no part of a secret is sent anywhere.

Two lists are asked: detect-secrets' plug-ins, one line at a time, and our own patterns. A hit names what it
is and its line, never its value. What a comment calls allowed is found all the same: a model would learn it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from finetune.cleaning.secret_patterns import ASSIGNED, PREFIXED

MAX_LINE_CHARS = 4000
_OVERLAP_CHARS = 400
"""Some patterns of the plug-ins take quadratic time: longer lines are cut, and no key is longer than this."""
_LEFT_OUT = frozenset({"IPPublicDetector", "KeywordDetector"})
"""An address is no secret. Keywords are asked for only where there is one, as they cost most of the time."""
_KEYWORD = re.compile(r"key|pass|pwd|secret|contrase", re.IGNORECASE)
LEAST_ENTROPY = 3.0
"""Bits a character. Words have less; random letters and digits, 16 of them, have 3.4 and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretHit:
    """That there is a secret, and where."""

    what: str
    line: int
    """Of the text, from 1."""


class SecretScanner:
    """Looks for secrets. Making one imports detect-secrets and takes half a second."""

    def __init__(self) -> None:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.plugins.high_entropy_strings import HighEntropyStringsPlugin
        from detect_secrets.plugins.keyword import KeywordDetector

        classes = [cast("Any", one) for one in get_mapping_from_secret_type_to_class().values()]
        plugins = [one() for one in classes if one.__name__ not in _LEFT_OUT]
        self._disorder = [one for one in plugins if isinstance(one, HighEntropyStringsPlugin)]
        self._plugins = [one for one in plugins if not isinstance(one, HighEntropyStringsPlugin)]
        self._keywords = cast("Any", KeywordDetector())

    def scan(self, text: str) -> list[SecretHit]:
        """Return what is found, in the order of the lines."""
        hits = {
            SecretHit(what=what, line=number)
            for number, line in enumerate(text.split("\n"), start=1)
            for piece in _cut(line)
            for what in self._scan_line(piece)
        }
        return sorted(hits, key=lambda hit: (hit.line, hit.what))

    def _scan_line(self, line: str) -> Iterator[str]:
        if len(line) < 8:
            return
        yield from (what for what, pattern in PREFIXED.items() if pattern.search(line))
        if any(_is_random(match["value"], match["quote"]) for match in ASSIGNED.finditer(line)):
            yield "assigned secret"
        # analyze_string, not analyze_line: the latter may ask the issuer whether a key is good.
        for plugin in self._plugins:
            if any(plugin.analyze_string(line)):
                yield plugin.secret_type
        if _KEYWORD.search(line) and any(self._keywords.analyze_string(line)):
            yield self._keywords.secret_type
        for plugin in self._disorder:
            for value in plugin.analyze_string(line):
                if plugin.calculate_shannon_entropy(value) > plugin.entropy_limit and not _is_alphabet(value):
                    yield plugin.secret_type


def _cut(line: str) -> Iterator[str]:
    if len(line) <= MAX_LINE_CHARS:
        yield line
        return
    for start in range(0, len(line), MAX_LINE_CHARS - _OVERLAP_CHARS):
        yield line[start : start + MAX_LINE_CHARS]


def _is_random(value: str, quote: str) -> bool:
    """Whether a value has letters and digits in no order that a word or a name would have."""
    if not re.search(r"\d", value) or not re.search(r"[A-Za-z]", value) or re.search(r"\.[a-z_]\w*$", value):
        return False
    if not quote and value.isidentifier() and (value.islower() or value.isupper() or "_" in value):
        return False  # the name of another variable
    counts = Counter(value)
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
    return entropy >= LEAST_ENTROPY


def _is_alphabet(value: str) -> bool:
    """Whether most characters follow the one before: alphabets and digits in their order are no secret."""
    steps = sum(ord(after) - ord(before) == 1 for before, after in itertools.pairwise(value))
    return steps > 0.8 * (len(value) - 1)
