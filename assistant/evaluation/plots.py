"""Pass rates with their intervals as one SVG picture of bars."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.evaluation.bars import Bar, Panel, render_panels
from assistant.evaluation.summary import Summary


def render_plot(summaries: Sequence[Summary]) -> str:
    """Return a bar for each pass@k of each evaluation, with a line for its 95 % interval."""
    bars = [
        Bar(
            name=f"{summary.record.model}, {summary.record.suite_name}, pass@{k}",
            value=rate.value,
            label=f"{rate.value:.1%}",
            color=number,
            low=rate.low,
            high=rate.high,
        )
        for number, summary in enumerate(summaries)
        for k, rate in summary.pass_at.items()
    ]
    high = max([bar.high or 0.0 for bar in bars], default=1.0)
    panel = Panel(
        heading="problems solved, 95 % intervals",
        bars=bars,
        scale=next((limit for limit in (0.1, 0.25, 0.5, 1.0) if high <= limit), 1.0),
        render_mark=lambda share: f"{share * 100:g} %",
    )
    return render_panels("Share of problems solved, with 95 % intervals", [panel])
