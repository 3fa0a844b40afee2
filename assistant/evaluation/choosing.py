"""Which two evaluations two names mean: of evaluations, or of models. Reads records, changes nothing."""

from __future__ import annotations

import contextlib
import difflib
from itertools import product
from pathlib import Path

from assistant.errors import UsageError
from assistant.evaluation.comparing import Side
from assistant.evaluation.evaluating import read_results
from assistant.evaluation.records import Record, ResultsDir, find_evaluations

ALIKE = ("suite_sha256", "samples", "temperature", "top_p", "max_tokens")
"""In what two evaluations agree that are chosen by their models' names."""


def find_sides(root: Path, first: str, second: str) -> tuple[Side, Side]:
    """Return the two evaluations that are meant.

    Args:
        root: Where evaluations are kept.
        first: An evaluation's name, or a model's.
        second: Likewise.

    Raises:
        UsageError: One is not there, or no two of them are of the same problems.
    """
    records: dict[str, Record] = {}
    for name in find_evaluations(root):
        with contextlib.suppress(UsageError):  # a damaged one is none
            records[name] = ResultsDir(root / name).get_record()
    ours, theirs = _find_named(records, first), _find_named(records, second)
    pairs = [(one, other) for one, other in product(ours, theirs) if one != other]
    if len(ours) == len(theirs) == 1 and pairs:
        return _open(root, ours[0]), _open(root, theirs[0])
    alike = [pair for pair in pairs if _are_alike(records[pair[0]], records[pair[1]])]
    if not alike:
        raise UsageError(
            f"{first} and {second} have no two results of the same problems and sampling",
            hint=f"assistant evaluate {first} {second} --suite …",
        )
    return _open(root, alike[0][0]), _open(root, alike[0][1])


def _find_named(records: dict[str, Record], name: str) -> list[str]:
    """Return the evaluation of that name, or those of the model of that name, the newest first."""
    if name in records:
        return [name]
    found = [one for one, record in records.items() if record.model == name]
    if found:
        return found
    known = [*records, *(record.model for record in records.values())]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"did you mean {nearest[0]}?" if nearest else f"assistant evaluate {name}"
    raise UsageError(f"there are no results called {name}, and none of a model {name}", hint=hint)


def _are_alike(one: Record, other: Record) -> bool:
    return all(getattr(one, field) == getattr(other, field) for field in ALIKE)


def _open(root: Path, name: str) -> Side:
    results = ResultsDir(root / name)
    _, scores = read_results(results)
    return Side(name=name, record=results.get_record(), scores=scores)
