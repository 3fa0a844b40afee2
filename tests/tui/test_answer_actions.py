"""What can be done with an answer, each by its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opened_chat import CODE, SOURCE, OpenedChat, play

from assistant.errors import SandboxError
from assistant.sandbox.interface import Backend
from tui import copying
from tui.clipboard import Copied
from tui.running import Run, RunResult, SandboxRunner

OTHER = ["```python\n", "def add(a: int, b: int) -> int:\n", "    return a + b\n", "```\n"]


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []

    def copy(text: str) -> Copied:
        texts.append(text)
        return Copied(checked=("board",))

    monkeypatch.setattr(copying, "copy_text", copy)
    return texts


class FakeRunner:
    """Runs nothing and remembers what it was asked to run."""

    def __init__(self) -> None:
        self.codes: list[str] = []

    def find_caution(self) -> str:
        return "Be careful."

    def start(self, code: str) -> Run:
        self.codes.append(code)
        return self

    def wait(self) -> RunResult:
        return RunResult(output="it ran [/b]\n", exit_code=0, seconds=0.1)

    def stop(self) -> None:
        pass


def test_y_copies_the_code_alone_and_says_how(copied: list[str]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("escape", "y")
        await opened.until(lambda: bool(copied))
        await opened.until_shown("copied with board")

    play(OpenedChat(), run)
    assert copied == [SOURCE]


def test_capital_y_copies_the_whole_answer(copied: list[str]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("escape", "Y")
        await opened.until(lambda: bool(copied))

    play(OpenedChat(), run)
    assert copied == ["".join(CODE)]


def test_f2_copies_from_the_prompt(copied: list[str]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("f2")
        await opened.until(lambda: bool(copied))

    play(OpenedChat(), run)
    assert copied == [SOURCE]


def test_there_is_nothing_to_copy_in_an_answer_without_code(copied: list[str]) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("talk")
        await opened.press("f2")
        await opened.until_shown("no code in this answer")

    play(OpenedChat([["I am sorry, I cannot do that.\n"]]), run)
    assert copied == []


def test_saving_over_a_file_asks_and_no_leaves_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("mine")

    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("ctrl+s")
        await opened.until(lambda: not opened.is_in_chat())
        await opened.press("ctrl+a", "ctrl+k")
        await opened.type("mine.py")
        await opened.press("enter")
        await opened.until_shown("Replace it?")
        await opened.press("enter")
        await opened.until(opened.is_in_chat)

    play(OpenedChat(), run)
    assert (tmp_path / "mine.py").read_text() == "mine"


def test_saving_over_a_file_replaces_it_after_yes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("mine")

    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("escape", "s")
        await opened.until(lambda: not opened.is_in_chat())
        await opened.press("ctrl+a", "ctrl+k")
        await opened.type("mine.py")
        await opened.press("enter")
        await opened.until_shown("Replace it?")
        await opened.press("y")
        await opened.until_shown("saved to mine.py")

    play(OpenedChat(), run)
    assert (tmp_path / "mine.py").read_text() == SOURCE


def test_a_bad_name_is_refused_and_can_be_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("ctrl+s")
        await opened.until(lambda: not opened.is_in_chat())
        await opened.press("ctrl+a", "ctrl+k")
        await opened.type("no/such/x.py")
        await opened.press("enter")
        await opened.until_shown("There is no directory")
        await opened.press("ctrl+a", "ctrl+k")
        await opened.type("x.py")
        await opened.press("enter")
        await opened.until(lambda: (tmp_path / "x.py").exists())

    play(OpenedChat(), run)


def test_refine_makes_the_code_the_input_of_the_next_task() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("escape", "r")
        assert opened.input().text == SOURCE
        await opened.ask("now with type hints")

    opened = play(OpenedChat([CODE, OTHER]), run)
    [turn] = opened.scripted.requests[-1].turns
    assert (turn.text, turn.input) == ("now with type hints", SOURCE.rstrip("\n"))


def test_a_task_comes_back_with_its_input_to_be_changed() -> None:
    async def run(opened: OpenedChat) -> None:
        opened.app.chat_screen.ask("sort", "[3, 1]")
        await opened.until_answered()
        await opened.press("escape", "t")
        assert (opened.prompt().text, opened.input().text) == ("sort", "[3, 1]")

    play(OpenedChat(), run)


def test_again_gives_another_answer_with_a_new_seed() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("ctrl+r")
        await opened.until(lambda: len(opened.scripted.requests) == 2)
        await opened.until_answered()
        await opened.until_shown("-> int")

    opened = play(OpenedChat([CODE, OTHER]), run)
    seeds = [request.sampling.seed for request in opened.scripted.requests]
    assert seeds[0] is None
    assert seeds[1] is not None
    assert opened.scripted.requests[1].turns == opened.scripted.requests[0].turns


def test_the_difference_to_the_answer_before_is_shown() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.ask("hints")
        await opened.press("escape", "d")
        await opened.until_shown("-def add(a, b):")
        assert "+def add(a: int, b: int) -> int:" in opened.shown()
        await opened.press("escape")
        await opened.until(opened.is_in_chat)

    play(OpenedChat([CODE, OTHER]), run)


def test_the_difference_to_the_input_is_shown() -> None:
    async def run(opened: OpenedChat) -> None:
        opened.app.chat_screen.ask("hints", "def add(a, b):\n    return b + a\n")
        await opened.until_answered()
        await opened.press("escape", "D")
        await opened.until_shown("-    return b + a")

    play(OpenedChat(), run)


def test_there_is_no_answer_before_the_first() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("escape", "d")
        await opened.until_shown("no answer before")

    play(OpenedChat(), run)


def test_code_runs_only_after_a_question_that_shows_it() -> None:
    runner = FakeRunner()

    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("escape", "x")
        await opened.until_shown("Be careful.")
        assert "return a + b" in opened.shown()
        await opened.press("enter")
        await opened.until(opened.is_in_chat)
        assert runner.codes == []
        await opened.press("x")
        await opened.until_shown("Be careful.")
        await opened.press("y")
        await opened.until_shown("it ran [/b]")
        assert "exit code 0" in opened.shown()

    play(OpenedChat(runner=runner), run)
    assert runner.codes == [SOURCE]


def test_without_a_sandbox_nothing_runs_and_the_remedy_is_said() -> None:
    def find() -> Backend:
        raise SandboxError("there is no sandbox", hint="sudo apt install bubblewrap")

    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.press("escape", "x")
        await opened.until_shown("sudo apt install bubblewrap")
        assert opened.is_in_chat()

    play(OpenedChat(runner=SandboxRunner(find, timeout_s=1)), run)


def test_what_is_changed_in_the_editor_becomes_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(text: str, **_: Any) -> str:
        return text + "# mine\n"

    async def run(opened: OpenedChat) -> None:
        monkeypatch.setattr(opened.app.chat_screen.actions, "edit_outside", edit)
        await opened.ask("add")
        await opened.press("escape", "e")
        assert opened.input().text == SOURCE + "# mine\n"

    play(OpenedChat(), run)


def test_an_editor_where_the_terminal_cannot_be_handed_over_is_no_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDITOR", "true")

    async def run(opened: OpenedChat) -> None:
        await opened.press("ctrl+g")
        await opened.until_shown("cannot be handed")

    play(OpenedChat(), run)


def test_the_keys_of_answers_walk_through_them_and_back_to_the_prompt() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("one")
        await opened.ask("two")
        await opened.press("escape")
        assert opened.views()[1].has_focus
        await opened.press("up")
        assert opened.views()[0].has_focus
        await opened.press("j", "j")
        assert opened.prompt().has_focus

    play(OpenedChat(), run)


def test_an_action_without_an_answer_says_so() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.press("ctrl+s")
        await opened.until_shown("no answer yet")

    play(OpenedChat(), run)
