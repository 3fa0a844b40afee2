"""Answers that are tested before they are shown, in the chat and as a stream of events."""

from __future__ import annotations

from typing import Any

import pytest
from opened_chat import OpenedChat, play
from tried import SUITE, CandidateGenerator, CountingJudge, NoSandbox, never

from assistant.answers import collect_answer
from assistant.errors import AssistantError, GeneratorLostError, SandboxError
from assistant.generator import ScriptedGenerator, TextGenerator
from assistant.history.records import Outcome
from assistant.judging.interface import Suite
from assistant.requests import FinishReason, Loading, Request, build_task_request
from assistant.verifying import Effort, Verification
from tui.verifying import Finding, VerifyingGenerator

BAD, FAIR, GOOD = (f"passes = {n}\n" for n in (0, 1, 3))
TESTS = "assert f(1) == 2"


class ToldVerifier:
    """Finds tests where there is an assert, and judges by what the code says of itself."""

    def __init__(self, fault: AssistantError | None = None) -> None:
        self._fault = fault

    def check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def find_tests(self, text: str) -> Suite | None:
        return SUITE if "assert" in text else None

    def verify(self, request: Request, suite: Suite, generator: TextGenerator) -> Verification:
        return Verification(
            request,
            suite,
            generator=generator,
            judge=CountingJudge(),
            sandbox=NoSandbox(),
            effort=Effort(candidates=3, repairs=0, patience_s=20),
        )


def opened(generator: Any, **services: Any) -> OpenedChat:
    return OpenedChat(generator=generator, **{"verifier": ToldVerifier(), **services})


async def ask_with_tests(chat: OpenedChat, text: str = TESTS) -> None:
    await chat.press("f3")
    await chat.until_shown("t 0 · max 1024 · tested")
    chat.app.chat_screen.ask("count", text)


def test_where_the_user_has_not_allowed_it_the_key_says_how() -> None:
    async def run(chat: OpenedChat) -> None:
        await chat.press("f3")
        await chat.until_shown("config set sandbox.projects on")
        assert not chat.app.chat.is_testing

    play(OpenedChat(), run)


def test_without_a_sandbox_it_stays_off_and_the_way_out_is_shown() -> None:
    fault = SandboxError("user namespaces are forbidden", hint="install bubblewrap")

    async def run(chat: OpenedChat) -> None:
        await chat.press("f3")
        await chat.until_shown("install bubblewrap")
        assert not chat.app.chat.is_testing

    play(OpenedChat(verifier=ToldVerifier(fault)), run)


def test_the_answer_shown_is_the_one_that_passes_and_says_what_ran() -> None:
    async def run(chat: OpenedChat) -> None:
        await ask_with_tests(chat)
        await chat.until_answered()
        await chat.until_shown("passes 3 of 3 tests · 3 tried · bubblewrap · parses · tiny")
        assert chat.views()[0].exchange.answer == GOOD
        assert not chat.views()[0].query_one(".verdict").has_class("bad")

    chat = play(opened(CandidateGenerator([[BAD]], [[FAIR, GOOD]])), run)
    assert (chat.saved[-1].answer, chat.saved[-1].outcome) == (GOOD, Outcome.STOP)


def test_where_none_passes_the_best_is_shown_with_a_warning() -> None:
    async def run(chat: OpenedChat) -> None:
        await ask_with_tests(chat)
        await chat.until_answered()
        await chat.until_shown("none of 3 passed all 3 tests; this one passes 1")
        assert chat.views()[0].query_one(".verdict").has_class("bad")

    play(opened(CandidateGenerator([[BAD]], [[FAIR, BAD]])), run)


def test_an_input_without_tests_and_one_after_a_second_press_are_answered_as_ever() -> None:
    generator = ScriptedGenerator([["x = 1\n"], ["x = 2\n"]])

    async def run(chat: OpenedChat) -> None:
        await ask_with_tests(chat, "name,age\n")
        await chat.until_answered()
        await chat.until_shown("x = 1")
        await chat.press("f3")
        await chat.until(lambda: not chat.app.chat.is_testing)
        chat.app.chat_screen.ask("count", TESTS)
        await chat.until_answered()
        await chat.until_shown("x = 2")

    play(opened(generator), run)
    assert len(generator.requests) == 2


def test_how_far_it_is_is_shown_and_stopping_keeps_the_best_so_far() -> None:
    async def run(chat: OpenedChat) -> None:
        await ask_with_tests(chat)
        await chat.until_shown("1 of 3 written, 1 passes 1 of 3")
        await chat.press("escape")
        await chat.until_answered()
        await chat.until_shown("not verified, 1 tried, as it was stopped; this one passes 1 of 3")

    chat = play(opened(CandidateGenerator([[FAIR]], [[never()]])), run)
    assert (chat.saved[-1].answer, chat.saved[-1].outcome) == (FAIR, Outcome.CANCELLED)


def stream(generator: TextGenerator, text: str = TESTS) -> tuple[Any, list[Finding]]:
    findings: list[Finding] = []
    tested = VerifyingGenerator(generator, ToldVerifier(), findings.append)
    return tested.stream(build_task_request("count", text)), findings


def test_an_answer_comes_in_one_piece_and_what_is_done_as_what_is_waited_for() -> None:
    events, findings = stream(CandidateGenerator([[GOOD]], [[BAD, BAD]]))
    listed = list(events)
    stages = [event.stage for event in listed if isinstance(event, Loading)]
    assert stages[0] == "writing"
    assert stages[-1].endswith("passes 3 of 3")
    answer = collect_answer(listed)
    assert (answer.text, answer.finish_reasons, answer.model) == (GOOD, (FinishReason.STOP,), "tiny")
    assert findings[0].is_verified


@pytest.mark.parametrize("likeliest", [[], [GeneratorLostError("gone")]])
def test_a_generator_that_fails_is_a_failed_answer(likeliest: list[Any]) -> None:
    lost = GeneratorLostError("gone")
    events, findings = stream(CandidateGenerator([likeliest], [[lost]]))
    answer = collect_answer(events)
    assert (answer.text, answer.error is None) == ("", False)
    assert not findings[0].is_verified
