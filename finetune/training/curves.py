"""Curves of a training as one SVG picture. Knows no torch and no plotting library."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

WIDTH, HEIGHT, LEFT, GAP = 720, 260, 64, 36
"""Of a panel, in pixels; the margin for its numbers; the margin above and below it."""
_STYLE = "font:12px sans-serif;fill:#444"
Points = Sequence[tuple[float, float]]


def render_curves(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Return the loss (of training and held-out rows) and the learning rate over the steps."""
    loss = _pick(metrics, "loss")
    held_out = _pick(metrics, "eval_loss")
    rate = _pick(metrics, "lr")
    height = 2 * (HEIGHT + 2 * GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 24} {height}">',
        f'<rect width="{WIDTH + LEFT + 24}" height="{height}" fill="#fff"/>',
        *_render_panel("loss (nats per token)", {"training": loss, "held out": held_out}, 0),
        *_render_panel("learning rate", {"": rate}, HEIGHT + 2 * GAP),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _pick(metrics: Sequence[Mapping[str, Any]], name: str) -> Points:
    return [(one["step"], one[name]) for one in metrics if math.isfinite(one.get(name, math.nan))]


def _render_panel(title: str, curves: Mapping[str, Points], top: float) -> Iterator[str]:
    points = [point for curve in curves.values() for point in curve]
    yield f'<text x="{LEFT}" y="{top + GAP - 12}" style="{_STYLE};font-weight:bold">{title}</text>'
    yield f'<rect x="{LEFT}" y="{top + GAP}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#bbb"/>'
    if not points:
        return
    last = max(x for x, _ in points)
    low, high = min(y for _, y in points), max(y for _, y in points)
    margin = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    low, high = low - margin, high + margin

    def place(x: float, y: float) -> str:
        across = LEFT + WIDTH * x / max(last, 1)
        return f"{across:.1f},{top + GAP + HEIGHT * (high - y) / (high - low):.1f}"

    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        height = top + GAP + HEIGHT * (1 - share)
        value = low + (high - low) * share
        yield (
            f'<text x="{LEFT - 6}" y="{height + 4:.1f}" text-anchor="end" style="{_STYLE}">{value:.3g}</text>'
        )
        across = LEFT + WIDTH * share
        yield (
            f'<text x="{across:.1f}" y="{top + GAP + HEIGHT + 16}" text-anchor="middle" style="{_STYLE}">'
            f"{last * share:.0f}</text>"
        )
    for number, (name, curve) in enumerate(curves.items()):
        color = ("#1f6fb2", "#d1495b")[number]
        path = " ".join(place(x, y) for x, y in curve)
        yield f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.6"/>'
        if name:
            y = top + GAP + 18 + 16 * number
            yield f'<text x="{LEFT + WIDTH - 80}" y="{y}" style="{_STYLE};fill:{color}">{name}</text>'
