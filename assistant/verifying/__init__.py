"""Answers that were run: several candidates, the tests that they must pass, and the first that does."""

from assistant.verifying.candidates import (
    Candidate,
    CandidateJudged,
    CandidateWritten,
    Repairing,
    Verified,
    VerifyingEvent,
)
from assistant.verifying.runs import Judge
from assistant.verifying.statement import Tally, render_statement
from assistant.verifying.verification import Effort, Verification, build_effort

__all__ = [
    "Candidate",
    "CandidateJudged",
    "CandidateWritten",
    "Effort",
    "Judge",
    "Repairing",
    "Tally",
    "Verification",
    "Verified",
    "VerifyingEvent",
    "build_effort",
    "render_statement",
]
