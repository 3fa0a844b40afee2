"""The parameters as lines of text and back, each checked against its range. Knows no Textual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assistant import limits
from assistant.errors import UsageError
from assistant.requests import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One parameter as it is asked for."""

    name: str
    title: str
    note: str
    low: float
    high: float
    is_whole: bool = False
    may_be_empty: bool = False


LINES = (
    Line(
        name="temperature",
        title="Temperature",
        note=f"0 to {limits.MAX_TEMPERATURE:g}; 0 takes the likeliest token",
        low=0,
        high=limits.MAX_TEMPERATURE,
    ),
    Line(name="top_p", title="Top-p", note=f"{limits.LEAST_TOP_P} to 1", low=limits.LEAST_TOP_P, high=1),
    Line(
        name="max_tokens",
        title="Max tokens",
        note=f"1 to {limits.MAX_MAX_TOKENS}",
        low=1,
        high=limits.MAX_MAX_TOKENS,
        is_whole=True,
    ),
    Line(
        name="seed",
        title="Seed",
        note="empty takes a fresh one each time",
        low=0,
        high=limits.MAX_SEED,
        is_whole=True,
        may_be_empty=True,
    ),
)


def render_lines(sampling: Sampling) -> dict[str, str]:
    """Return the parameters as text, by name."""
    return {
        "temperature": f"{sampling.temperature:g}",
        "top_p": f"{sampling.top_p:g}",
        "max_tokens": str(sampling.max_tokens),
        "seed": "" if sampling.seed is None else str(sampling.seed),
    }


def parse_lines(texts: Mapping[str, str]) -> Sampling:
    """Read the parameters.

    Raises:
        UsageError: One is no number or out of its range.
    """
    temperature, top_p, max_tokens, seed = (_parse(line, texts[line.name].strip()) for line in LINES)
    return Sampling(
        temperature=float(temperature or 0),
        top_p=float(top_p or 1),
        max_tokens=int(max_tokens or 1),
        seed=None if seed is None else int(seed),
    )


def _parse(line: Line, text: str) -> float | int | None:
    if not text and line.may_be_empty:
        return None
    try:
        number = int(text) if line.is_whole else float(text)
    except ValueError:
        number = None
    if number is None or not line.low <= number <= line.high:  # nan is in no range
        kind = "a whole number" if line.is_whole else "a number"
        raise UsageError(
            f"{line.title} must be {kind} from {line.low:g} to {line.high:g}, got {text or 'nothing'}"
        )
    return number
