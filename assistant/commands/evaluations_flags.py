"""The flags of `assistant evaluate`, defaults and an earlier evaluation worked in. Knows no click."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.errors import UsageError
from assistant.evaluation.records import Record, evaluations_dir, find_evaluations, open_directory

if TYPE_CHECKING:
    from assistant.commands.evaluate_run import Flags

SUITE = "humaneval"
MAX_TOKENS = 512
"""As the public leaderboards allow."""
SAMPLED_TEMPERATURE, SAMPLED_TOP_P = 0.8, 0.95
"""Of several answers: what Chen et al. (2021) take for pass@k."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """One call of the command."""

    models: tuple[str, ...]
    """The empty name is the active model, or a foreign server's first."""
    suites: tuple[str, ...]
    limit: int | None
    samples: int
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    name: str
    """Of the results; empty for one made of what is evaluated."""
    root: Path
    """Where results are kept."""
    must_exist: bool
    """There are results to go on with."""
    replace: bool
    answers: bool
    """Whether answers are made."""
    judges: bool
    """Whether answers are judged."""
    nll: bool
    yes: bool


def build_options(flags: Flags) -> EvaluateOptions:
    """Work defaults in, and for --resume what is gone on with.

    Raises:
        UsageError: Flags exclude each other, or there is nothing to go on with.
    """
    _refuse_pairs(flags)
    root = flags["directory"] or evaluations_dir()
    name, record = flags["name"], None
    if (flags["resume"] or flags["score_only"]) and not flags["models"]:
        name = name or _find_newest(root)
        record = open_directory(root, name).get_record()
    samples = flags["count"] or (record.samples if record else 1)
    temperature = _choose_temperature(flags, record, samples)
    top_p = flags["top_p"]
    if top_p is None:
        top_p = record.top_p if record else SAMPLED_TOP_P if temperature > 0 else 1.0
    seed = flags["seed"]
    return EvaluateOptions(
        models=flags["models"] or (record.model if record else "",),
        suites=flags["suites"] or (record.suite if record else SUITE,),
        limit=flags["limit"] or (record.limit if record else None),
        samples=samples,
        temperature=temperature,
        top_p=top_p,
        max_tokens=flags["max_tokens"] or (record.max_tokens if record else MAX_TOKENS),
        seed=seed if seed is not None else record.seed if record else 0,
        name=name,
        root=root,
        must_exist=flags["resume"] or flags["score_only"],
        replace=flags["replace"],
        answers=not flags["score_only"],
        judges=not flags["generate_only"],
        nll=flags["nll"],
        yes=flags["yes"],
    )


def _choose_temperature(flags: Flags, record: Record | None, samples: int) -> float:
    temperature = flags["temperature"]
    if temperature is None:
        temperature = record.temperature if record else SAMPLED_TEMPERATURE if samples > 1 else 0.0
    if samples > 1 and temperature == 0:
        raise UsageError(
            f"{samples} answers at temperature 0 are the same answer", hint="--temperature 0.8, or --n 1"
        )
    return temperature


def _refuse_pairs(flags: Flags) -> None:
    given = {
        "--resume": flags["resume"],
        "--replace": flags["replace"],
        "--generate-only": flags["generate_only"],
        "--score-only": flags["score_only"],
    }
    for one, other in (
        ("--resume", "--replace"),
        ("--score-only", "--replace"),
        ("--generate-only", "--score-only"),
    ):
        if given[one] and given[other]:
            raise UsageError(f"{one} and {other} exclude each other", hint="leave one of them out")


def _find_newest(root: Path) -> str:
    names = find_evaluations(root)
    if not names:
        raise UsageError(f"there are no results in {root} to go on with", hint="assistant evaluate MODEL")
    return names[0]
