"""Files of a directory, and those whose path a few typed letters mean. Knows no Textual."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

MAX_FILES = 20_000
SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "venv", "build", "dist"})


def list_files(root: Path) -> list[str]:
    """Return the paths below a directory, hidden and generated ones left out, at most `MAX_FILES`."""
    found: list[str] = []
    for directory, subdirectories, names in os.walk(root):
        subdirectories[:] = sorted(
            name for name in subdirectories if name not in SKIPPED and not name.startswith(".")
        )
        base = os.path.relpath(directory, root)
        for name in sorted(names):
            if not name.startswith("."):
                found.append(name if base == "." else f"{base}/{name}")
                if len(found) >= MAX_FILES:
                    return found
    return found


def find_matches(typed: str, paths: Iterable[str], *, limit: int = 50) -> list[str]:
    """Return the paths that hold the typed letters in their order, the best first."""
    scored = [(score, path) for path in paths if (score := _score(typed.lower(), path)) is not None]
    scored.sort(key=lambda pair: (pair[0], len(pair[1]), pair[1]))
    return [path for _, path in scored[:limit]]


def _score(typed: str, path: str) -> int | None:
    """Return how far letters are apart, less being better; None where they are not all there."""
    lower = path.lower()
    name = lower.rpartition("/")[2]
    if typed in name:
        return name.index(typed) - 1000
    if typed in lower:
        return lower.index(typed) - 500
    score, position = 0, -1
    for letter in typed:
        following = lower.find(letter, position + 1)
        if following < 0:
            return None
        score += following - position - 1
        position = following
    return score
