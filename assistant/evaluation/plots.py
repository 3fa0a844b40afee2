"""Pass rates with their intervals as one SVG picture of bars. Knows no plotting library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from assistant.evaluation.statistics import Rate
from assistant.evaluation.summary import Summary

BAR, GAP, LEFT, WIDTH, TOP = 22, 10, 300, 460, 48
"""A bar's height, what is between two, the room for names, the width of 100 %, the room for the title."""
_STYLE = "font:12px sans-serif;fill:#444"
_COLORS = ("#1f6fb2", "#d1495b", "#3c8d5a", "#b0762c", "#6a51a3", "#5f6b76")


def render_plot(summaries: Sequence[Summary]) -> str:
    """Return a bar for each pass@k of each evaluation, with a line for its 95 % interval."""
    bars = [
        (f"{summary.record.model}, {summary.record.suite_name}, pass@{k}", rate, number)
        for number, summary in enumerate(summaries)
        for k, rate in summary.pass_at.items()
    ]
    high = max([rate.high for _, rate, _ in bars], default=1.0)
    scale = next((limit for limit in (0.1, 0.25, 0.5, 1.0) if high <= limit), 1.0)
    bottom = TOP + len(bars) * (BAR + GAP)
    width, height = LEFT + WIDTH + 90, bottom + 32
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
        "<title>Share of problems solved, with 95 % intervals</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" style="{_STYLE};font-weight:bold">problems solved, 95 % intervals</text>',
        *_render_axis(scale, bottom),
    ]
    for row, (name, rate, number) in enumerate(bars):
        parts += _render_bar(name, rate, scale, TOP + row * (BAR + GAP), _COLORS[number % len(_COLORS)])
    return "\n".join([*parts, "</svg>"]) + "\n"


def _render_axis(scale: float, bottom: float) -> Iterator[str]:
    for step in range(5):
        x = LEFT + WIDTH * step / 4
        yield f'<line x1="{x}" y1="{TOP - 8}" x2="{x}" y2="{bottom}" stroke="#ddd"/>'
        yield (
            f'<text x="{x}" y="{bottom + 18}" text-anchor="middle" style="{_STYLE}">'
            f"{scale * step * 25:g} %</text>"
        )


def _render_bar(name: str, rate: Rate, scale: float, top: float, color: str) -> Iterator[str]:
    middle = top + BAR / 2
    end, low, high = (LEFT + WIDTH * value / scale for value in (rate.value, rate.low, rate.high))
    shown = name if len(name) <= 46 else f"{name[:20]}…{name[-25:]}"
    yield (f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end" style="{_STYLE}">{escape(shown)}</text>')
    yield (
        f'<rect x="{LEFT}" y="{top}" width="{end - LEFT:.1f}" height="{BAR}" fill="{color}" opacity="0.75"/>'
    )
    yield f'<line x1="{low:.1f}" y1="{middle}" x2="{high:.1f}" y2="{middle}" stroke="#222"/>'
    for x in (low, high):
        yield f'<line x1="{x:.1f}" y1="{middle - 5}" x2="{x:.1f}" y2="{middle + 5}" stroke="#222"/>'
    yield f'<text x="{high + 8:.1f}" y="{middle + 4}" style="{_STYLE}">{rate.value:.1%}</text>'
