"""What the model is told about an answer that fails its tests. Prompt formats have their words elsewhere."""

from __future__ import annotations

from dataclasses import replace

from assistant.judging.interface import Judgement, Standing
from assistant.replies import extract_code
from assistant.requests import Request, Role
from assistant.verifying.candidates import Candidate

MAX_FAILURES = 3
"""More would only bury the first, which is what the others often come from."""
MAX_FAILURE_CHARS = 300

FAILS = (
    "The code at the end of the input is wrong. {failures}\nWrite all of it again, so that the tests pass."
)
CODE_HEADING = "# This code is wrong:"


def build_repair(request: Request, candidate: Candidate) -> Request:
    """Ask the same again, with a wrong answer below the input and what is wrong with it below the task.

    One task with its input, and no second turn: it is what models that are trained on tasks know.

    Args:
        request: What was asked; its last user turn has the task.
        candidate: A candidate that was run.
    """
    assert candidate.judgement is not None
    at = max(place for place, turn in enumerate(request.turns) if turn.role is Role.USER)
    turn = request.turns[at]
    code = extract_code(candidate.reply).text.rstrip("\n")
    told = FAILS.format(failures=render_failures(candidate.judgement))
    shown = f"{turn.input.rstrip(chr(10))}\n\n{CODE_HEADING}\n{code}".lstrip("\n")
    renewed = replace(turn, text=f"{turn.text}\n\n{told}", input=shown)
    return replace(request, turns=(*request.turns[:at], renewed, *request.turns[at + 1 :]))


def render_failures(judgement: Judgement) -> str:
    """Say which tests do not hold and why, a line for each."""
    if judgement.error:
        return f"It did not run to its end: {_cut(judgement.error)}."
    failed = [result for result in judgement.results if result.standing is not Standing.PASSED]
    lines = [
        _cut(f"{result.name}: {result.error or result.standing.value}") for result in failed[:MAX_FAILURES]
    ]
    return "\n".join([f"It fails {len(failed)} of {len(judgement.results)} tests:", *lines])


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_FAILURE_CHARS else text[: MAX_FAILURE_CHARS - 1] + "…"
