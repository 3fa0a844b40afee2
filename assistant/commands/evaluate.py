"""`assistant evaluate`: measuring models, and comparing what was measured; imported when they are called."""

from __future__ import annotations

from collections.abc import Mapping

import click

from assistant.commands.parts import Part, PartGroup

EXAMPLES = (
    "assistant evaluate --limit 20",
    "assistant evaluate my-model smollm2-135m-instruct --plot rates.svg",
    "assistant evaluate my-model --suite mbpp.jsonl[10:110] --n 8",
    "assistant evaluate my-model --suite src/",
    "assistant evaluate --resume",
    "assistant evaluate compare smollm2-135m-instruct my-model",
)
RUN = "run"
"""What is called where the first word names no command: it is a model, or a switch."""


PARTS: Mapping[str, Part] = {
    RUN: Part(
        module="assistant.commands.evaluate_run",
        attribute="run",
        help="Measure models; `run` may be left out.",
    ),
    "compare": Part(
        module="assistant.commands.evaluate_compare",
        attribute="compare",
        help="Say whether one is better than another, and how sure.",
    ),
}


@click.group(
    "evaluate",
    cls=PartGroup,
    parts=PARTS,
    default=RUN,
    is_bare_default=True,
    examples=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`assistant evaluate run --help` lists what `assistant evaluate MODEL...` takes.",
)
def evaluate() -> None:
    """Say how many problems a model solves; its answers are run.

    `assistant evaluate MODEL...` answers the problems of a suite and judges
    the answers by the suite's tests.
    """
