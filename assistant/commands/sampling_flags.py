"""The flags of `ask` for how answers are chosen and how they end. Reads nothing and asks nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

import click

from assistant import limits
from assistant.commands.options import number_between, parse_stops, whole_number_between

if TYPE_CHECKING:
    from assistant.config import SamplingSettings
    from assistant.requests import Sampling

PENALTIES = (limits.LEAST_REPETITION_PENALTY, limits.MAX_REPETITION_PENALTY)


class SamplingFlags(TypedDict):
    """The command's parameters, as click hands them over; None where a flag is not given."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    min_p: float | None
    repetition_penalty: float | None
    max_tokens: int | None
    seed: int | None
    stops: tuple[str, ...]
    count: int | None
    is_unguarded: bool


def sampling_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the flags."""
    for option in reversed((*_filter_options(), *_length_options())):
        command = option(command)
    return command


def _filter_options() -> tuple[Callable[..., Callable[..., int]], ...]:
    return (
        click.option(
            "--temperature",
            metavar="X",
            callback=number_between(0, limits.MAX_TEMPERATURE),
            help=f"0 to {limits.MAX_TEMPERATURE:g}; 0 takes the likeliest token.",
        ),
        click.option(
            "--top-p",
            metavar="X",
            callback=number_between(limits.LEAST_TOP_P, 1),
            help=f"{limits.LEAST_TOP_P} to 1; the likeliest tokens that together have this probability.",
        ),
        click.option(
            "--top-k",
            metavar="N",
            callback=whole_number_between(0, limits.MAX_TOP_K),
            help="So many of the likeliest tokens; 0 for all.",
        ),
        click.option(
            "--min-p",
            metavar="X",
            callback=number_between(0, 1),
            help="0 to 1; no token less likely than this share of the likeliest one.",
        ),
        click.option(
            "--repetition-penalty",
            metavar="X",
            callback=number_between(*PENALTIES),
            help=f"{PENALTIES[0]:g} to {PENALTIES[1]:g}; above 1, less is said again; else the model's own.",
        ),
    )


def _length_options() -> tuple[Callable[..., Callable[..., int]], ...]:
    return (
        click.option(
            "--max-tokens",
            metavar="N",
            callback=whole_number_between(1, limits.MAX_MAX_TOKENS),
            help=f"1 to {limits.MAX_MAX_TOKENS}; new tokens at most.",
        ),
        click.option(
            "--seed",
            metavar="N",
            callback=whole_number_between(0, limits.MAX_SEED),
            help="The same seed gives the same answer.",
        ),
        click.option(
            "--stop",
            "stops",
            metavar="TEXT",
            multiple=True,
            callback=parse_stops,
            help=f"End the answer before this text; up to {limits.MAX_STOPS} times.",
        ),
        click.option(
            "-n",
            "--n",
            "count",
            metavar="N",
            callback=whole_number_between(1, limits.MAX_N),
            help=f"1 to {limits.MAX_N} answers.",
        ),
        click.option(
            "--no-guard",
            "is_unguarded",
            is_flag=True,
            help="Leave lines that cannot be Python as they are first written.",
        ),
    )


def build_asked_sampling(flags: SamplingFlags, settings: SamplingSettings) -> Sampling:
    """Let a flag win over a setting only where it is given."""
    from dataclasses import replace

    from assistant.settings import build_sampling

    names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "max_tokens", "seed")
    given = {name: flags[name] for name in names if flags[name] is not None}
    sampling = replace(build_sampling(settings), **given, stop=flags["stops"], n=flags["count"] or 1)
    return replace(sampling, syntax_guard=False) if flags["is_unguarded"] else sampling
