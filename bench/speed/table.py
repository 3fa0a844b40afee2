"""The benchmark's figures as lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.speed.figures import OwnFigures, Sample, find_firsts, find_median, find_speeds


def render_table(
    samples: Sequence[Sample],
    families: Mapping[str, str],
    ready: Mapping[str, float],
    unavailable: Mapping[str, str],
) -> Iterator[str]:
    """Return a line for each engine: medians of every kind; and for each that is missing, why."""
    kinds = list(dict.fromkeys(one.kind for one in samples))
    width = max(map(len, [*families, *unavailable, "engine"]))
    heads = "".join(f"{kind + ' tok/s':>14}{'first':>9}" for kind in kinds)
    yield f"{'engine':<{width}}{heads}{'ready':>9}"
    for name in families:
        cells = ""
        for kind in kinds:
            cells += _cell(find_median(find_speeds(samples, name, kind)), 14, "{:.1f}")
            first = find_median(find_firsts(samples, name, kind))
            cells += _cell(first and first * 1000, 9, "{:.0f} ms")
        yield f"{name:<{width}}{cells}{_cell(ready.get(name), 9, '{:.1f} s')}"
    for name, reason in unavailable.items():
        yield f"{name:<{width}}  not available: {reason}"


def render_ratios(ratios: Mapping[str, Any], own: OwnFigures) -> Iterator[str]:
    """Return a line for each ratio, and of how many answers were the same."""
    for section, values in ratios.items():
        if section == "machine":
            continue
        for name, value in values.items():
            if not isinstance(value, Mapping):
                yield f"{section + '.' + name:<36}{_cell(value, 9, '{:.2f}')}"
                continue
            for inner, number in value.items():
                yield f"{section + '.' + name + '.' + inner:<36}{_cell(number, 9, '{:.2f}')}"
    if own.compared:
        yield f"the same with and without prompt lookup: {own.same} of {own.compared}"
    parts = {"third turn": own.chat_warm, "repeated action": own.repeated}
    for name, share in parts.items():
        if share:
            yield f"first token of a {name}, warm as a share of cold: {find_median(share):.2f}"


def _cell(value: Any, width: int, form: str) -> str:
    shown = form.format(value) if isinstance(value, int | float) else "-" if value is None else str(value)
    return f"{shown:>{width}}"
