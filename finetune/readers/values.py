"""What a reader yields: a row's columns as they were found. Knows no roles of columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from finetune.examples import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a data file."""

    values: Mapping[str, object]
    """By column; whatever the format can hold."""
    place: Place
