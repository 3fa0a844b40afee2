"""The flags of `ask` for answers that are run against tests. Reads nothing and asks nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict

import click

from assistant import limits
from assistant.commands.options import whole_number_between
from assistant.errors import UsageError

DEFAULT_CANDIDATES = 8


class VerifyFlags(TypedDict):
    """The command's parameters, as click hands them over."""

    tests: str | None
    is_checked: bool
    candidates: int | None
    has_no_repair: bool
    as_stream_json: bool
    count: int | None
    temperature: float | None
    top_p: float | None


def verifying_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the flags."""
    options = (
        click.option(
            "--tests", metavar="FILE", help="Try answers until one passes the tests of this Python file."
        ),
        click.option(
            "--check",
            "is_checked",
            is_flag=True,
            help="The same, with the asserts and doctests that the input has.",
        ),
        click.option(
            "--candidates",
            metavar="N",
            callback=whole_number_between(1, limits.MAX_N),
            help=f"1 to {limits.MAX_N} answers to try; {DEFAULT_CANDIDATES} by default.",
        ),
        click.option(
            "--no-repair",
            "has_no_repair",
            is_flag=True,
            help="Where none passes, do not ask once more with what is wrong.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def check_flags(flags: VerifyFlags) -> bool:
    """Return whether the answer is to be verified.

    Raises:
        UsageError: Flags contradict each other.
    """
    chosen = [
        name for name, is_given in (("--tests", flags["tests"]), ("--check", flags["is_checked"])) if is_given
    ]
    if not chosen:
        lonely = [
            name
            for name, is_given in (
                ("--candidates", flags["candidates"]),
                ("--no-repair", flags["has_no_repair"]),
            )
            if is_given
        ]
        if lonely:
            raise UsageError(f"{lonely[0]} means something only with --tests FILE or --check")
        return False
    if len(chosen) > 1:
        raise UsageError("--tests and --check exclude each other", hint="leave one of them out")
    if flags["as_stream_json"]:
        raise UsageError(
            f"{chosen[0]} and --stream-json exclude each other", hint="--json has it all at the end"
        )
    count = flags["count"]
    if count is not None:
        raise UsageError(
            f"{chosen[0]} and --n exclude each other",
            hint=f"--candidates {count} tries {count} and keeps one",
        )
    if flags["temperature"] == 0 and flags["candidates"] != 1:
        raise UsageError(
            f"{chosen[0]} with --temperature 0 would try the same answer again and again",
            hint="leave --temperature out, or --candidates 1",
        )
    return True
