"""Answers to one plan, run against its tests. What is run is the whole file, as the answer would make it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from assistant.errors import SandboxError
from assistant.replies import Code
from assistant.verifying import Tally, Verification, Verified, build_effort, render_statement
from lsp.actions.interface import Edits, Outcome, Plan, Refused, Trial
from lsp.backend import Desk
from lsp.edits import apply_edits
from lsp.trials import place_search_path

Finish = Callable[[str], Outcome]
"""What an answer would do to the document as it is now."""


class Trying:
    """What is being done, in words, until it is known what came of it.

    Args:
        verification: What is followed.
        total: How many tests there are.
    """

    def __init__(self, verification: Verification, total: int) -> None:
        self._verification = verification
        self._total = total
        self._verified: Verified | None = None

    @property
    def verified(self) -> Verified:
        """What came of it, at its end."""
        assert self._verified is not None
        return self._verified

    def __iter__(self) -> Iterator[str]:
        tally = Tally(self._total)
        for event in self._verification:
            tally.take(event)
            if isinstance(event, Verified):
                self._verified = event
            yield tally.render()

    def close(self) -> None:
        """Stop trying, from any thread."""
        self._verification.close()


def start_trial(plan: Plan, trial: Trial, desk: Desk, finish: Finish) -> Trying:
    """Begin to try answers.

    Raises:
        SandboxError: There is nothing that runs tests.
    """
    if desk.find_judging is None:
        raise SandboxError("there is nothing here that runs tests")
    judging = desk.find_judging(trial)
    sampling = plan.request.sampling

    def extract(reply: str) -> Code:
        outcome = finish(reply)
        if not isinstance(outcome, Edits):
            reason = outcome.reason if isinstance(outcome, Refused) else ""
            return Code(text="", syntax_error=reason)
        (file,) = outcome.files
        after = apply_edits(file.lines.text, file.edits)
        return Code(text=place_search_path(after.replace("\r\n", "\n"), trial.root), parses=True)

    verification = Verification(
        plan.request,
        trial.suite,
        generator=desk.generator,
        judge=judging.judge,
        sandbox=judging.sandbox,
        effort=build_effort(sampling.temperature, sampling.top_p),
        extract=extract,
    )
    return Trying(verification, len(trial.suite.cases))


def conclude_trial(plan: Plan, trial: Trial, verified: Verified, finish: Finish) -> Outcome:
    """Return the edits of an answer that passes; where none does, a refusal that says what was tried.

    Raises:
        AssistantError: The generator or the sandbox failed.
    """
    if verified.error is not None and not verified.is_verified:
        raise verified.error
    outcome = finish(verified.answer.text)
    statement = f"{render_statement(verified)} · {trial.source}"
    if verified.is_verified:
        is_edit = isinstance(outcome, Edits)
        return replace(outcome, notes=(*outcome.notes, f"It {statement}.")) if is_edit else outcome
    code = outcome.code if isinstance(outcome, Edits | Refused) else ""
    reason = f"{plan.offer.title}: nothing was changed: {statement}."
    if isinstance(outcome, Refused) and not any(each.judgement for each in verified.candidates):
        return replace(outcome, retry=None)
    return Refused(reason=reason, code=code)
