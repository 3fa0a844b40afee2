"""Whether a row's code is Python. Asks the parser that answers are judged by; runs nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from assistant.replies import extract_code
from assistant.replies.checking import Checker, dedent
from finetune.examples import Example, Kind, Reason, Reject
from finetune.progress import Report, report_nothing, track


def find_syntax_error(code: str, *, input_text: str = "", kind: Kind = Kind.INSTRUCTION) -> str:
    """Return where and why an answer does not parse, or the empty string.

    Args:
        code: The answer, of a person or of a model.
        input_text: A `body` is judged as it stands under its signature, which is the input.
        kind: What was asked for.
    """
    checker = Checker()
    if kind is Kind.BODY:
        return checker.check(f"{input_text}\n{code}\n").error
    verdict = checker.check(code)
    if not verdict.parses:
        verdict = checker.check(dedent(code))
    if verdict.parses and not verdict.is_program and not any(sign in code for sign in "([{"):
        return "words that happen to parse"
    return verdict.error


def drop_unparsable(
    examples: Sequence[Example], report: Report = report_nothing
) -> tuple[list[Example], list[Reject]]:
    """Keep rows whose code is Python. The fence and the prose around a block of it are taken off."""
    kept: list[Example] = []
    rejects: list[Reject] = []
    for example in track(examples, "parsing the code", report):
        error = find_syntax_error(example.code, input_text=example.input, kind=example.kind)
        if error and "```" in example.code:
            found = extract_code(example.code)
            if found.parses and found.is_complete:
                example, error = dataclasses.replace(example, code=found.text.strip("\n")), ""
        if error:
            rejects.append(
                Reject(place=example.place, reason=Reason.UNPARSABLE, detail=error, kind=example.kind)
            )
        else:
            kept.append(example)
    return kept, rejects
