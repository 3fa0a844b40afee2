"""What a verification has come to, and how far it is, in words. Knows no screen."""

from __future__ import annotations

from assistant.judging.interface import Standing
from assistant.requests import Loading, Started
from assistant.verifying.candidates import (
    Candidate,
    CandidateJudged,
    CandidateWritten,
    Repairing,
    Verified,
    VerifyingEvent,
)

MAX_REASON_CHARS = 200


def render_statement(verified: Verified) -> str:
    """Say on one line what the answer passes, how many were tried, and what they ran in."""
    parts = [_render_outcome(verified), verified.sandbox]
    if verified.is_verified:
        parts.insert(1, f"{len(verified.candidates)} tried")
    judgement = verified.chosen.judgement if verified.chosen is not None else None
    if judgement is not None and judgement.is_self_reported:
        parts.append("the code shared a process with the tests and could have cheated")
    return " · ".join(filter(None, parts))


def _render_outcome(verified: Verified) -> str:
    total, tried, chosen = len(verified.suite.cases), len(verified.candidates), verified.chosen
    if verified.is_verified:
        return f"passes {total} of {total} tests"
    if chosen is None:
        return f"not verified: nothing was written{_render_cause(verified)}"
    if verified.is_stopped or verified.error is not None:
        state = f"passes {chosen.passed} of {total}" if chosen.judgement is not None else "has not been run"
        return f"not verified, {tried} tried{_render_cause(verified)}; this one {state}"
    return _render_defeat(chosen, total=total, tried=tried)


def _render_defeat(chosen: Candidate, *, total: int, tried: int) -> str:
    if chosen.judgement is None:
        return f"none of {tried} has code to run" if tried > 1 else "the answer has no code to run"
    reason = find_reason(chosen)
    broken = [result for result in chosen.judgement.results if result.standing is Standing.BROKEN]
    if broken:
        return f"{len(broken)} of {total} tests cannot hold with any code: {reason}"
    crowd = f"none of {tried}" if tried > 1 else "the only answer tried has not"
    if total == 1:
        return f"{crowd} passed the test: {reason}"
    return f"{crowd} passed all {total} tests; this one passes {chosen.passed}: {reason}"


def find_reason(candidate: Candidate) -> str:
    """Say why a candidate does not pass, shortly; the empty text where it does or was not run."""
    judgement, failure = candidate.judgement, candidate.find_failure()
    if judgement is None or failure is None:
        return ""
    broken = next((r for r in judgement.results if r.standing is Standing.BROKEN), None)
    if broken is None and judgement.error:
        return _cut(judgement.error)
    failure = broken or failure
    return _cut(f"{failure.name}: {failure.error}" if failure.error else failure.name)


def _render_cause(verified: Verified) -> str:
    if verified.error is not None:
        return f": {verified.error.message}"
    return ", as it was stopped" if verified.is_stopped else ""


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_REASON_CHARS else text[: MAX_REASON_CHARS - 1] + "…"


class Tally:
    """How far a verification is.

    Args:
        total: How many tests there are.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._stage = "waiting for the generator"
        self._written = ""
        self._repairs = ""
        self._passed: list[int] = []

    def take(self, event: VerifyingEvent) -> None:
        """Take the next event."""
        match event:
            case Loading(stage=stage, fraction=fraction):
                self._stage = stage if fraction is None else f"{stage} {fraction:.0%}"
            case Started():
                self._stage = "writing"
            case CandidateWritten(written=written, of=of):
                self._written = f"{written} of {of} written"
            case CandidateJudged(passed=passed):
                self._passed.append(passed)
            case Repairing(count=count):
                self._repairs, self._written = "repairing: ", f"0 of {count} written"
            case Verified():
                pass

    def render(self) -> str:
        """Return it on one line: `3 of 8 written, 1 passes 2 of 3`."""
        if not self._written:
            return self._stage
        if not self._passed:
            return self._repairs + self._written
        best = max(self._passed)
        count = self._passed.count(best)
        passes = f"{count} {'passes' if count == 1 else 'pass'} {best} of {self._total}"
        return f"{self._repairs}{self._written}, {passes}"
