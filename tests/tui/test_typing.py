"""Task and input: typed, pasted, found, recalled, kept."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from opened_chat import OpenedChat, play
from textual import events

from assistant.config import ChatSettings, Config
from assistant.drafts import Draft, DraftKeeper
from assistant.errors import GeneratorLostError
from tui.keys import parse_keymap
from tui.widgets.input_pane import InputPane
from tui.widgets.prompt import Prompt


def pane_of(opened: OpenedChat) -> InputPane:
    return opened.app.chat_screen.query_one(InputPane)


def test_what_is_typed_faster_than_it_is_shown_is_sent_whole() -> None:
    async def run(opened: OpenedChat) -> None:
        for key in (*"add two", "enter"):
            character = " " if key == " " else key if len(key) == 1 else "\r"
            opened.app.post_message(events.Key("space" if key == " " else key, character))
        await opened.until(lambda: bool(opened.scripted.requests))

    assert play(OpenedChat(), run).scripted.requests[0].turns[-1].text == "add two"


def test_up_on_the_first_line_recalls_tasks_and_down_comes_back_to_the_half_typed_one() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("one")
        await opened.ask("two")
        await opened.type("ha")
        await opened.press("up")
        assert opened.prompt().text == "two"
        await opened.press("up")
        assert opened.prompt().text == "one"
        await opened.press("down", "down")
        assert opened.prompt().text == "ha"

    play(OpenedChat(), run)


def test_up_on_a_later_line_only_moves_the_cursor() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("one")
        await opened.type("a\nb")
        await opened.press("up")
        assert opened.prompt().text == "a\nb"
        assert opened.prompt().cursor_location[0] == 0

    play(OpenedChat(), run)


def test_tasks_of_earlier_days_are_recalled(tmp_path: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("old task")

    play(OpenedChat(history=tmp_path), run)

    async def later(opened: OpenedChat) -> None:
        deadline = time.monotonic() + 20
        while opened.prompt().text != "old task":
            assert time.monotonic() < deadline
            await opened.press("up")

    play(OpenedChat(history=tmp_path), later)


def test_ctrl_t_shows_the_input_goes_there_and_hides_it_again() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.press("ctrl+t")
        assert opened.input().has_focus
        await opened.type("x")
        await opened.press("ctrl+t")
        assert opened.prompt().has_focus
        assert not pane_of(opened).is_shown
        assert pane_of(opened).text == "x"

    play(OpenedChat(), run)


def test_a_paste_of_several_lines_sends_nothing() -> None:
    async def run(opened: OpenedChat) -> None:
        opened.app.post_message(events.Paste("line\n" * 200))
        await opened.until(lambda: opened.prompt().text.count("line") == 200)
        assert opened.prompt().text.endswith("line\n")

    assert play(OpenedChat(), run).scripted.requests == []


def test_a_long_paste_into_the_prompt_becomes_the_input() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.type("sum")
        opened.app.post_message(events.Paste("1\n" * 6000))
        await opened.until(lambda: pane_of(opened).text == "1\n" * 6000)
        assert opened.prompt().text == "sum"
        assert opened.input().text == "1\n" * 6000

    play(OpenedChat(), run)


@pytest.mark.parametrize("into_prompt", [True, False])
def test_a_paste_of_five_megabytes_is_kept_described_and_refused_when_sent(*, into_prompt: bool) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.type("sum")
        await opened.press("ctrl+t")
        target = opened.prompt() if into_prompt else opened.input()
        target.focus()
        opened.app.post_message(events.Paste("123456789\n" * 524_288))
        await opened.until(lambda: len(pane_of(opened).text) == 5_242_880)
        await opened.until_shown("5.2 MB")
        opened.prompt().focus()
        await opened.press("enter")
        await opened.until_shown("limit")
        assert opened.prompt().text == "sum"
        pane_of(opened).focus_text()
        await opened.press("ctrl+u")
        assert pane_of(opened).text == ""

    assert play(OpenedChat(), run).scripted.requests == []


def test_nul_bytes_wide_and_combining_characters_are_sent_as_they_are() -> None:
    text = "a\0b 漢字 e\u0301 👩‍👩‍👧 \x1b[31m"

    async def run(opened: OpenedChat) -> None:
        opened.app.post_message(events.Paste(text))
        await opened.until(lambda: bool(opened.prompt().text))
        await opened.press("enter")
        await opened.until_answered()
        assert "\0" not in opened.shown()

    assert play(OpenedChat(), run).scripted.requests[0].turns[-1].text == text


def test_a_file_is_found_by_letters_of_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "shapes.py").write_text("r = 1\n")
    (tmp_path / "other.py").write_text("")

    async def run(opened: OpenedChat) -> None:
        await opened.type("hints for @")
        await opened.until(lambda: not opened.is_in_chat())
        await opened.type("shap")
        await opened.until(lambda: "src/shapes.py" in opened.shown() and "other" not in opened.shown())
        await opened.press("enter")
        await opened.until(lambda: opened.input().text == "r = 1\n")
        assert pane_of(opened).source == "src/shapes.py"
        assert opened.prompt().text == "hints for "

    play(OpenedChat(), run)


def test_letters_that_are_typed_right_after_the_at_belong_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shapes.py").write_text("r = 1\n")
    (tmp_path / "other.py").write_text("")

    async def run(opened: OpenedChat) -> None:
        await opened.type("hints for @shap")
        await opened.until(lambda: "shapes.py" in opened.shown() and "other" not in opened.shown())
        await opened.press("enter")
        await opened.until(lambda: opened.input().text == "r = 1\n")
        assert opened.prompt().text == "hints for "

    play(OpenedChat(), run)


def test_an_at_that_means_no_file_is_typed_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def run(opened: OpenedChat) -> None:
        await opened.type("@")
        await opened.until(lambda: not opened.is_in_chat())
        await opened.type("property")
        await opened.press("escape")
        await opened.until(opened.is_in_chat)
        assert opened.prompt().text == "@property"
        await opened.type(" a@b")
        assert opened.prompt().text == "@property a@b"

    play(OpenedChat(), run)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\xff")

    async def run(opened: OpenedChat) -> None:
        await opened.type("@")
        await opened.until_shown("picture.png")
        await opened.press("enter")
        await opened.until_shown("picture.png looks binary")

    play(OpenedChat(), run)


def test_the_draft_is_on_the_disk_soon_after_it_is_typed(tmp_path: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.type("half a task")
        await opened.until(
            lambda: any("half a task" in path.read_text() for path in tmp_path.glob("drafts/*.json"))
        )

    play(OpenedChat(drafts=tmp_path / "drafts"), run)


def test_a_draft_that_was_left_behind_comes_back(tmp_path: Path) -> None:
    left = DraftKeeper(tmp_path / "drafts")
    left.close(Draft(task="left", input="x = 1", input_name="a.py"))

    async def run(opened: OpenedChat) -> None:
        await opened.until(lambda: opened.prompt().text == "left")
        assert (opened.input().text, pane_of(opened).source) == ("x = 1", "a.py")

    play(OpenedChat(drafts=tmp_path / "drafts"), run)


def test_a_task_that_was_sent_leaves_no_draft(tmp_path: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")

    play(OpenedChat(drafts=tmp_path / "drafts"), run)
    assert list((tmp_path / "drafts").glob("*.json")) == []


def test_quitting_with_a_task_half_typed_keeps_it(tmp_path: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.type("half")
        await opened.press("ctrl+q")

    play(OpenedChat(drafts=tmp_path / "drafts"), run)
    assert DraftKeeper(tmp_path / "drafts").adopt() == Draft(task="half")


def test_a_draft_that_cannot_be_saved_is_a_warning_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "drafts").write_text("a file is in the way")

    async def run(opened: OpenedChat) -> None:
        await opened.type("half")
        await opened.until_shown("draft is not saved")
        await opened.press("enter")
        await opened.until_answered()

    assert len(play(OpenedChat(drafts=tmp_path / "drafts"), run).scripted.requests) == 1


def test_an_error_brings_task_and_input_back() -> None:
    async def run(opened: OpenedChat) -> None:
        opened.app.chat_screen.ask("sort", "[3, 1]")
        await opened.until_answered()
        assert (opened.prompt().text, opened.input().text) == ("sort", "[3, 1]")
        await opened.until_shown("went away")
        assert "Ctrl+R" in opened.shown()

    play(OpenedChat([GeneratorLostError("it went away", hint="ask again")]), run)


def test_a_new_task_that_is_typed_meanwhile_is_not_overwritten_by_the_old_one() -> None:
    async def run(opened: OpenedChat) -> None:
        opened.app.chat_screen.ask("old", "")
        opened.prompt().insert("new")
        await opened.until_answered()
        assert opened.prompt().text == "new"

    play(OpenedChat([GeneratorLostError("it went away")]), run)


def test_keys_can_be_changed_in_the_configuration() -> None:
    keymap = parse_keymap("send=ctrl+s newline=enter save=f5")

    async def run(opened: OpenedChat) -> None:
        await opened.type("a")
        await opened.press("enter")
        await opened.type("b")
        assert opened.scripted.requests == []
        await opened.press("ctrl+s")
        await opened.until_answered()

    opened = play(OpenedChat(keymap=keymap), run)
    assert opened.scripted.requests[0].turns[-1].text == "a\nb"


@pytest.mark.parametrize("theme", ["textual-light", "ansi-dark", "ansi-light"])
def test_every_theme_shows_code(theme: str) -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.until_shown("return a + b")

    play(OpenedChat(config=Config(chat=ChatSettings(theme=theme))), run)


def test_what_is_typed_before_a_task_is_taken_is_the_next_task() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.type("add")
        prompt = opened.app.chat_screen.query_one(Prompt)
        prompt.action_send()
        prompt.insert("next")
        await opened.until(lambda: bool(opened.saved))
        await opened.until_answered()
        assert opened.saved[-1].task == "add"
        assert prompt.text == "next"

    play(OpenedChat(), run)


def test_a_task_that_cannot_be_sent_is_put_back_before_what_was_typed_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tui.chat.MAX_INPUT_BYTES", 1000)

    async def run(opened: OpenedChat) -> None:
        prompt = opened.app.chat_screen.query_one(Prompt)
        prompt.load("x" * 1001)
        prompt.action_send()
        prompt.insert("next")
        await opened.until_shown("are the limit")
        assert prompt.text.endswith("xnext")
        assert len(prompt.text) == 1005

    play(OpenedChat(), run)
