"""Answers that are run against the tests in their input, as a stream of events like any other. No widgets.

How far it is comes as what is waited for; the answer comes as one piece, once it is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from assistant.generator import EventStream, TextGenerator
from assistant.requests import Done, Event, Failed, FinishReason, Loading, Request, Started, Token

if TYPE_CHECKING:
    from assistant.config import Config
    from assistant.judging.interface import Suite
    from assistant.sandbox.interface import Backend
    from assistant.verifying import Verification, Verified

HOW_TO_ALLOW = (
    "answers are tested in a sandbox only where you allow it: `assistant config set sandbox.projects on`, "
    "then open the chat again"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the tests showed."""

    statement: str
    """On one line: what passes, how many were tried, and what they ran in."""
    is_verified: bool


class Verifier(Protocol):
    """Finds tests, and answers that pass them."""

    def check(self) -> None:
        """Find out whether code can be run here. Called on another thread than the screen's.

        Raises:
            AssistantError: It cannot.
        """
        ...

    def find_tests(self, text: str) -> Suite | None:
        """Return the tests that an input has, or None."""
        ...

    def verify(self, request: Request, suite: Suite, generator: TextGenerator) -> Verification:
        """Begin to try answers.

        Raises:
            AssistantError: There is no sandbox.
        """
        ...


class SandboxVerifier:
    """Runs answers in the sandbox that the configuration selects. For other threads than the screen's.

    Args:
        config: The settings.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def check(self) -> None:
        """See `Verifier.check`."""
        self._find_sandbox()

    def find_tests(self, text: str) -> Suite | None:
        """See `Verifier.find_tests`."""
        from assistant.judging.suites import find_own_tests  # late: the first picture needs none of it

        return find_own_tests(text)

    def verify(self, request: Request, suite: Suite, generator: TextGenerator) -> Verification:
        """See `Verifier.verify`."""
        from assistant.judging.judge import judge
        from assistant.verifying import Verification, build_effort

        return Verification(
            request,
            suite,
            generator=generator,
            judge=partial(judge, has_packages=True),
            sandbox=self._find_sandbox(),
            effort=build_effort(request.sampling.temperature, request.sampling.top_p),
        )

    def _find_sandbox(self) -> Backend:
        from assistant.sandbox.choosing import find_sandbox

        return find_sandbox(self._config.sandbox)


class VerifyingGenerator:
    """A generator whose answers pass the tests in their input, where there are any and one does.

    Args:
        generator: Who writes.
        verifier: Who tests.
        note: Gets what the tests showed, before the answer comes; on the thread that reads the events.
    """

    def __init__(self, generator: TextGenerator, verifier: Verifier, note: Callable[[Finding], None]) -> None:
        self._generator = generator
        self._verifier = verifier
        self._note = note

    def stream(self, request: Request) -> EventStream:
        """Start a request.

        Raises:
            AssistantError: There are tests, and no sandbox to run them in.
        """
        suite = self._verifier.find_tests(request.turns[-1].input)
        if suite is None:
            return self._generator.stream(request)
        verification = self._verifier.verify(request, suite, self._generator)
        return VerifiedStream(verification, len(suite.cases), self._note)


class VerifiedStream:
    """A verification as the events of one answer. Once closed it still hands over the best so far.

    Args:
        verification: It.
        total: How many tests there are.
        note: Gets what they showed.
    """

    def __init__(self, verification: Verification, total: int, note: Callable[[Finding], None]) -> None:
        self._verification = verification
        self._note = note
        self._events = self._tell(total)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """Stop trying."""
        self._verification.close()

    def _tell(self, total: int) -> Iterator[Event]:
        from assistant.verifying import Tally, Verified

        tally = Tally(total)
        for event in self._verification:
            tally.take(event)
            match event:
                case Verified():
                    yield from self._tell_end(event)
                case Loading():
                    yield event
                case Started():
                    yield event
                    yield Loading(stage=tally.render())
                case _:
                    yield Loading(stage=tally.render())

    def _tell_end(self, verified: Verified) -> Iterator[Event]:
        from assistant.verifying import render_statement

        self._note(Finding(statement=render_statement(verified), is_verified=verified.is_verified))
        answer = verified.answer
        if answer.text:
            yield Token(text=answer.text)
        if answer.error is not None:
            yield Failed(error=answer.error)
            return
        is_whole = verified.is_verified or not verified.is_stopped
        reasons = answer.finish_reasons if is_whole else (FinishReason.CANCELLED,)
        yield Done(
            finish_reasons=reasons,
            usage=answer.usage,
            model=answer.model,
            seed=answer.seed,
            seconds=answer.seconds,
        )
