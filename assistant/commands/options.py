"""Command-line values that are checked when they are parsed. A message names flag, value and range."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from assistant import limits
from assistant.errors import UsageError


def number_between(
    low: float, high: float
) -> Callable[[click.Context, click.Parameter, str | None], float | None]:
    """Build the callback of an option that takes a number; it raises `UsageError` for any other value."""

    def parse(_: click.Context, param: click.Parameter, value: str | None) -> float | None:
        if value is None:
            return None
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:  # nan is in no range
            raise UsageError(f"{flag_name(param)} must be a number from {low:g} to {high:g}, got {value}")
        return number

    return parse


def whole_number_between(
    low: int, high: int
) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """Build the callback of an option that takes a whole number; it raises `UsageError` for others."""

    def parse(_: click.Context, param: click.Parameter, value: str | None) -> int | None:
        if value is None:
            return None
        try:
            number = int(value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise UsageError(f"{flag_name(param)} must be a whole number from {low} to {high}, got {value}")
        return number

    return parse


def parse_stops(_: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    """Check the texts that end an answer.

    Raises:
        UsageError: There are too many, or one is empty or too long.
    """
    if len(texts) > limits.MAX_STOPS:
        raise UsageError(
            f"{flag_name(param)} may be given {limits.MAX_STOPS} times at most, got {len(texts)}"
        )
    for text in texts:
        if not 1 <= len(text) <= limits.MAX_STOP_CHARS:
            raise UsageError(
                f"{flag_name(param)} must have from 1 to {limits.MAX_STOP_CHARS} characters, got {len(text)}"
            )
    return texts


def parse_target(_: click.Context, param: click.Parameter, value: str | None) -> Path | None:
    """Return the file to write; None for standard output, which is also what `-` means.

    Raises:
        UsageError: The name is empty.
    """
    if value == "":
        raise UsageError(f"{flag_name(param)} needs the name of a file, got an empty one")
    return None if value is None or value == "-" else Path(value)


def flag_name(param: click.Parameter) -> str:
    """Return the longest of a flag's names, as people write it."""
    return max(param.opts, key=len)
