"""One task whose answer has to pass tests: from request to exit code. Knows no flags."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from assistant.answers import Answer
from assistant.commands.asking import AskOptions, Result, Streams, deliver, warn_of_faults
from assistant.commands.interrupts import Interrupts
from assistant.commands.messages import Messages
from assistant.commands.progress_line import ProgressLine
from assistant.errors import AssistantError, DeadlineError
from assistant.generator import TextGenerator
from assistant.judging.interface import Suite
from assistant.replies import Code
from assistant.requests import Request, Role, Turn
from assistant.sandbox.interface import Backend
from assistant.verifying import Effort, Judge, Tally, Verification, Verified, VerifyingEvent, render_statement

NOT_VERIFIED = 7
"""The exit code where there are answers, and none passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifying:
    """How an answer is verified."""

    suite: Suite
    source: str
    """Where the tests come from, in words."""
    shown: str
    """What the model is shown of them, beside the input."""
    sandbox: Backend
    effort: Effort


class TallyLine(ProgressLine):
    """Follows a verification.

    Args:
        messages: Where the line is shown.
        total: How many tests there are.
    """

    def __init__(self, messages: Messages, total: int) -> None:
        super().__init__(messages)
        self._tally = Tally(total)

    def note(self, event: VerifyingEvent) -> None:
        """Take the next event."""
        self._tally.take(event)

    def render(self) -> str:
        """Return the line."""
        return f"{self._tally.render()} · {self._clock() - self._began:.1f} s"


def run_verified(
    options: AskOptions,
    verifying: Verifying,
    generator: TextGenerator,
    streams: Streams,
    remember: Callable[[AskOptions, Answer], None],
    *,
    judge: Judge,
) -> int:
    """Ask for an answer that passes the tests, and deliver it, or else the best that there is.

    Args:
        options: What to ask, and what to do with the answer.
        verifying: The tests, where they run and how much is tried.
        generator: Who is asked.
        streams: Where the answer and what is to be said about it go.
        remember: Gets what was asked and the answer, once it is delivered or could not be.
        judge: Who runs the tests.

    Returns:
        The process's exit code: 7 where no answer passed.

    Raises:
        StorageError: Standard output cannot be written.
        BrokenPipeError: Nobody reads standard output any more.
    """
    texts = (options.input.rstrip("\n"), verifying.shown.strip("\n"))
    options = replace(options, input="\n\n".join(text for text in texts if text))
    request = _build_request(options, verifying)
    interrupts = Interrupts()
    verified = _run(request, verifying, generator, streams.messages, interrupts, options.timeout_s, judge)
    try:
        return _conclude(verified, request, options, verifying, interrupts, streams)
    finally:
        remember(options, verified.answer)


def _build_request(options: AskOptions, verifying: Verifying) -> Request:
    effort = verifying.effort
    sampling = replace(
        options.sampling, temperature=effort.temperature, top_p=effort.top_p, n=effort.candidates
    )
    asked = Turn(role=Role.USER, text=options.task, input=options.input)
    return Request(turns=(*options.earlier, asked), sampling=sampling, model=options.model)


def _run(
    request: Request,
    verifying: Verifying,
    generator: TextGenerator,
    messages: Messages,
    interrupts: Interrupts,
    timeout_s: float | None,
    judge: Judge,
) -> Verified:
    verification = Verification(
        request,
        verifying.suite,
        generator=generator,
        judge=judge,
        sandbox=verifying.sandbox,
        effort=verifying.effort,
    )
    line = TallyLine(messages, len(verifying.suite.cases))
    with (
        contextlib.closing(verification) as events,
        interrupts.watching(events, timeout_s=timeout_s),
        line.shown(),
    ):
        for event in events:
            line.note(event)
            if isinstance(event, Verified):
                return event
    raise AssertionError("a verification ends with its result")


def _conclude(
    verified: Verified,
    request: Request,
    options: AskOptions,
    verifying: Verifying,
    interrupts: Interrupts,
    streams: Streams,
) -> int:
    failure = _find_failure(verified, interrupts, options)
    result = Result(
        request=request,
        answer=verified.answer,
        codes=[verified.chosen.code if verified.chosen is not None else Code(text="")],
        failure=failure,
        is_whole=verified.is_verified,
        findings=_build_findings(verified),
    )
    code = deliver(result, options, streams)
    statement = f"{render_statement(verified)} · {verifying.source}"
    if verified.is_verified:
        streams.messages.tell(statement)
        return code or warn_of_faults(result, options, streams.messages)
    streams.messages.warn(statement)
    if interrupts.signal_number:
        return interrupts.exit_code
    if failure is not None:
        streams.messages.report(failure)
        return failure.exit_code
    return code or NOT_VERIFIED


def _find_failure(verified: Verified, interrupts: Interrupts, options: AskOptions) -> AssistantError | None:
    """Say what ended it early; None where it came to its end, or somebody ended it."""
    if verified.is_verified or interrupts.signal_number:
        return None
    if interrupts.is_late and verified.is_stopped:
        return DeadlineError(
            f"no answer had passed its tests after {options.timeout_s:g} s",
            hint="--timeout gives it longer",
        )
    return verified.error


def _build_findings(verified: Verified) -> dict[str, Any]:
    """Return the fields of the JSON object that say what the tests showed."""
    judgement = verified.chosen.judgement if verified.chosen is not None else None
    return {
        "verified": verified.is_verified,
        "tests": [
            {"name": result.name, "standing": result.standing.value, "error": result.error}
            for result in (judgement.results if judgement is not None else ())
        ],
        "tried": len(verified.candidates),
        "sandbox": verified.sandbox,
    }
