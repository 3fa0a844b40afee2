"""What is judged, and the judgement. Runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that must hold."""

    name: str
    """What it is called in a report: `line 3: assert f(1) == 2`."""
    source: str
    """Statements. It holds if they run to their end without an exception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tests for one piece of code."""

    cases: tuple[Case, ...]
    """At least one."""
    setup: str = ""
    """Statements before the tests, in the judge's process."""
    names: tuple[str, ...] = ()
    """What the tests use of the code under test. Empty: every public name that it defines."""
    module: str = ""
    """`from module import name` in a test means the code under test; empty for none."""


class Standing(StrEnum):
    """How one test came out."""

    PASSED = "passed"
    FAILED = "failed"
    """An assertion did not hold, or the code under test raised."""
    NOT_RUN = "not run"
    """The code ran into a limit before, could not be loaded, or does not define what is tested."""
    BROKEN = "broken"
    """The test itself is at fault: it does not parse, or does not run with any code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """How one of them came out."""

    name: str
    standing: Standing
    error: str = ""
    """The exception's last line, at most 500 characters: it goes into a repair prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What running the tests showed."""

    results: tuple[CaseResult, ...]
    """One for each case, in order."""
    sandbox: str
    """The backend's name."""
    seconds: float
    error: str = ""
    """Why tests were not run: `timed out`, `SyntaxError: …`, or empty."""
    is_self_reported: bool = False
    """The tests shared a process with the code, which could have cheated."""

    @property
    def passed(self) -> int:
        """How many tests hold."""
        return sum(result.standing is Standing.PASSED for result in self.results)

    @property
    def has_passed(self) -> bool:
        """Whether all tests hold."""
        return bool(self.results) and self.passed == len(self.results)
