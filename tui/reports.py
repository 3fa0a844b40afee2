"""What is said about an answer, in words and numbers. Knows no Textual."""

from __future__ import annotations

from assistant.history.records import Exchange, Outcome
from assistant.requests import Loading, Sampling
from tui.answering import Progress

BAR_CHARS = 12


def render_loading(loading: Loading) -> str:
    """Say what is waited for, with a bar where it is known how far that is."""
    if loading.fraction is None:
        return f"{loading.stage} …"
    filled = round(BAR_CHARS * min(max(loading.fraction, 0.0), 1.0))
    bar = "━" * filled + "─" * (BAR_CHARS - filled)
    return f"{loading.stage} {bar} {loading.fraction:.0%}"


def render_progress(progress: Progress) -> str:
    """Say how far an answer is."""
    if progress.stage:
        loading = Loading(stage=progress.stage, fraction=progress.fraction)
        return f"{render_loading(loading)} · {progress.seconds:.0f} s"
    parts = [count_of(progress.tokens, "token")]
    if progress.tokens_per_s is not None:
        parts.append(f"{progress.tokens_per_s:.1f} tok/s")
    parts.append(f"{progress.seconds:.1f} s")
    return " · ".join(parts)


def render_verdict(exchange: Exchange, *, parses: bool, syntax_error: str, has_code: bool) -> str:
    """Say how an answer ended and whether its code parses."""
    words: list[str] = []
    match exchange.outcome:
        case Outcome.CANCELLED:
            words.append("stopped")
        case Outcome.LENGTH:
            words.append("cut off: the limit on its length was reached")
        case Outcome.UNFINISHED:
            words.append("its end was never recorded")
        case Outcome.FAILED:
            words.append(f"failed: {exchange.error}")
        case Outcome.STOP:
            pass
    if has_code:
        words.append("parses" if parses else f"does not parse: {syntax_error}")
    elif exchange.answer.strip():
        words.append("no code")
    elif exchange.outcome is Outcome.STOP:
        words.append("the model answered with nothing")
    return " · ".join(words)


def render_numbers(exchange: Exchange) -> str:
    """Say which model answered, and at what cost."""
    parts = [exchange.model] if exchange.model else []
    if exchange.usage is not None:
        parts.append(count_of(exchange.usage.completion_tokens, "token"))
    if exchange.tokens_per_s is not None:
        parts.append(f"{exchange.tokens_per_s:.1f} tok/s")
    if exchange.seconds:
        parts.append(f"{exchange.seconds:.1f} s")
    if exchange.sampling.temperature > 0:
        parts.append(f"temperature {exchange.sampling.temperature:g}")
        if exchange.sampling.seed is not None:
            parts.append(f"seed {exchange.sampling.seed}")
    return " · ".join(parts)


def render_sampling(sampling: Sampling) -> str:
    """Say how the next answer will be chosen."""
    parts = [f"t {sampling.temperature:g}"]
    if sampling.top_p < 1:
        parts.append(f"top-p {sampling.top_p:g}")
    parts.append(f"max {sampling.max_tokens}")
    if sampling.seed is not None:
        parts.append(f"seed {sampling.seed}")
    return " · ".join(parts)


def count_of(number: int, noun: str) -> str:
    """Write a number of things."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
