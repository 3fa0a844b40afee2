"""A model's speed as lines for people and as a picture."""

from __future__ import annotations

from collections.abc import Iterator

from assistant.commands.bench_speed import Speed
from assistant.commands.findings import render_bytes
from assistant.evaluation.bars import Bar, Panel, find_scale, render_panels

KINDS = {"write": "write new code", "edit": "change code", "chat": "go on in a chat"}


def render_speed(speed: Speed) -> Iterator[str]:
    """Say it in lines."""
    threads = f"{speed.decode_threads} of {speed.prefill_threads} threads decode"
    where = f"{speed.device}, {threads}" if speed.device == "cpu" else speed.device
    yield f"{speed.model}: weights {speed.quantization}, on {where}"
    yield ""
    yield f"{'':<20}{'prompt':>8}{'first token':>14}{'when warm':>12}{'tokens/s':>11}"
    for kind, one in speed.kinds.items():
        yield (
            f"{KINDS.get(kind, kind):<20}{one.prompt_tokens:>8}"
            f"{_render_ms(one.first_token_s):>14}{_render_ms(one.warm_first_token_s):>12}"
            f"{one.tokens_per_s:>11.1f}"
        )
    batch = f"{speed.batch_size} answers at once"
    yield f"{batch:<20}{'':>34}{speed.batch_tokens_per_s:>11.1f}"
    yield ""
    yield f"ready after  {speed.load_s:.1f} s"
    memory = f"{render_bytes(speed.process_bytes)}, {render_bytes(speed.gpu_bytes)} on the GPU"
    if not speed.gpu_bytes:
        memory = render_bytes(speed.process_bytes)
    yield f"memory       {memory}; weights and cache may grow to {render_bytes(speed.model_bytes)}"
    yield (
        f"bandwidth    {speed.bandwidth / 1e9:.1f} GB/s; a token reads {render_bytes(speed.token_bytes)} of"
        f" weights, so {speed.limit_tokens_per_s:.0f} tokens/s at the most"
    )
    yield f"used of it   {speed.bandwidth_share:.0%} when it writes new code"


def render_speed_plot(speed: Speed) -> str:
    """Return tokens a second beside the limit, and first tokens cold and warm, as SVG."""
    speeds = [
        *((KINDS.get(kind, kind), one.tokens_per_s, 0) for kind, one in speed.kinds.items()),
        (f"{speed.batch_size} answers at once", speed.batch_tokens_per_s, 2),
        ("one stream at the memory's limit", speed.limit_tokens_per_s, 5),
    ]
    firsts = [
        bar
        for kind, one in speed.kinds.items()
        for bar in (
            (f"{KINDS.get(kind, kind)}, cold", one.first_token_s * 1000, 0),
            (f"{KINDS.get(kind, kind)}, warm", one.warm_first_token_s * 1000, 1),
        )
    ]
    return render_panels(
        f"Speed of {speed.model}",
        [
            _build_panel(f"{speed.model}: tokens a second", speeds, "{:.1f}"),
            _build_panel("milliseconds until the first token", firsts, "{:.0f} ms"),
        ],
    )


def _build_panel(heading: str, values: list[tuple[str, float, int]], label: str) -> Panel:
    return Panel(
        heading=heading,
        bars=[
            Bar(name=name, value=value, label=label.format(value), color=color)
            for name, value, color in values
        ],
        scale=find_scale([value for _, value, _ in values]),
        render_mark=lambda value: f"{value:g}",
    )


def _render_ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
