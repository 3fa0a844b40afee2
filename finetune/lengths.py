"""How long rows are: the numbers for a record, the bars for a person. Knows no tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finetune.tokenizing import TokenRow

BAR_WIDTH = 40
_EDGES = (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
"""Upper ends, in tokens: twice as long, half as important."""


def measure_lengths(rows: Sequence[TokenRow]) -> dict[str, Any]:
    """Return totals, percentiles and a histogram of rows that are to be trained on or measured with."""
    lengths = sorted(len(row.input_ids) for row in rows)
    learnt = sorted(sum(label >= 0 for label in row.labels) for row in rows)
    edges = [edge for edge in _EDGES if not lengths or edge < 2 * lengths[-1]] or [_EDGES[0]]
    counts = [
        sum(low < length <= edge for length in lengths) for low, edge in zip([0, *edges], edges, strict=False)
    ]
    beyond = len(lengths) - sum(counts)
    return {
        "tokens": sum(lengths),
        "learnt_tokens": sum(learnt),
        **{f"p{share}": find_percentile(lengths, share) for share in (50, 90, 99)},
        "max": lengths[-1] if lengths else 0,
        "learnt_p50": find_percentile(learnt, 50),
        "histogram": [
            *({"to": edge, "rows": count} for edge, count in zip(edges, counts, strict=True)),
            *([{"to": None, "rows": beyond}] if beyond else []),
        ],
    }


def find_percentile(ordered: Sequence[int], share: int) -> int:
    """Return the smallest value that so many of a hundred do not exceed; 0 of nothing."""
    if not ordered:
        return 0
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def render_histogram(lengths: dict[str, Any]) -> Iterator[str]:
    """Yield one line of ASCII for each bin."""
    most = max((one["rows"] for one in lengths["histogram"]), default=0) or 1
    for one in lengths["histogram"]:
        edge = f"<= {one['to']}" if one["to"] else "more"
        bar = "#" * -(-one["rows"] * BAR_WIDTH // most)
        yield f"{edge:>8} {one['rows']:>7} {bar}".rstrip()
