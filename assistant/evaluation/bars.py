"""Bars as one SVG picture: what every plot of a command looks like. Knows no plotting library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

BAR, GAP, LEFT, WIDTH, TOP = 22, 10, 300, 460, 48
"""A bar's height, what is between two, the room for names, an axis' width, the room for a heading."""
BELOW = 32
"""The room for an axis' numbers."""
COLORS = ("#1f6fb2", "#d1495b", "#3c8d5a", "#b0762c", "#6a51a3", "#5f6b76")
_STYLE = "font:12px sans-serif;fill:#444"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One value."""

    name: str
    value: float
    label: str
    """The value as it is written."""
    color: int
    """Which of the colours, from the beginning again after the last."""
    low: float | None = None
    high: float | None = None
    """The ends of an interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Bars on one axis that begins at 0."""

    heading: str
    bars: Sequence[Bar]
    scale: float
    """The axis' end, above 0."""
    render_mark: Callable[[float], str]
    """Writes a number below the axis."""


def render_panels(title: str, panels: Sequence[Panel]) -> str:
    """Return panels one below another."""
    heights = [TOP + len(panel.bars) * (BAR + GAP) + BELOW for panel in panels]
    width, height = LEFT + WIDTH + 90, sum(heights)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _render_panel(panel, sum(heights[:number]))
    return "\n".join([*parts, "</svg>"]) + "\n"


def find_scale(values: Sequence[float]) -> float:
    """Return the end of an axis that holds all values: 1, 2 or 5 times a power of ten."""
    high = max(values, default=0.0)
    if high <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(high))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= high)


def _render_panel(panel: Panel, top: float) -> Iterator[str]:
    yield (
        f'<text x="{LEFT}" y="{top + 24}" style="{_STYLE};font-weight:bold">{escape(panel.heading)}</text>'
    )
    begin = top + TOP
    bottom = begin + len(panel.bars) * (BAR + GAP)
    for step in range(5):
        x = LEFT + WIDTH * step / 4
        yield f'<line x1="{x}" y1="{begin - 8}" x2="{x}" y2="{bottom}" stroke="#ddd"/>'
        yield (
            f'<text x="{x}" y="{bottom + 18}" text-anchor="middle" style="{_STYLE}">'
            f"{escape(panel.render_mark(panel.scale * step / 4))}</text>"
        )
    for row, bar in enumerate(panel.bars):
        yield from _render_bar(bar, panel.scale, begin + row * (BAR + GAP))


def _render_bar(bar: Bar, scale: float, top: float) -> Iterator[str]:
    middle = top + BAR / 2
    low = bar.value if bar.low is None else bar.low
    high = bar.value if bar.high is None else bar.high
    end, left, right = (LEFT + WIDTH * value / scale for value in (bar.value, low, high))
    shown = bar.name if len(bar.name) <= 46 else f"{bar.name[:20]}…{bar.name[-25:]}"
    color = COLORS[bar.color % len(COLORS)]
    yield f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end" style="{_STYLE}">{escape(shown)}</text>'
    size = f'width="{end - LEFT:.1f}" height="{BAR}"'
    yield f'<rect x="{LEFT}" y="{top}" {size} fill="{color}" opacity="0.75"/>'
    if right > left:
        yield f'<line x1="{left:.1f}" y1="{middle}" x2="{right:.1f}" y2="{middle}" stroke="#222"/>'
        for x in (left, right):
            yield f'<line x1="{x:.1f}" y1="{middle - 5}" x2="{x:.1f}" y2="{middle + 5}" stroke="#222"/>'
    yield f'<text x="{right + 8:.1f}" y="{middle + 4}" style="{_STYLE}">{escape(bar.label)}</text>'
