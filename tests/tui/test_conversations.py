"""Conversations: resumed, searched, renamed, exported, deleted. And the parameters, the palette, the help."""

from __future__ import annotations

from pathlib import Path

import pytest
from opened_chat import OpenedChat, play
from textual.widgets import Input, OptionList

from assistant.errors import UnknownModelError
from assistant.history.records import Exchange, Outcome
from assistant.history.store import open_history
from tui.screens.conversations import ConversationsScreen
from tui.screens.parameters import ParametersScreen


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A history with two conversations."""
    with open_history(tmp_path / "history" / "history.db") as history:
        for number, task in enumerate(["sort a list", "read a CSV file"]):
            history.save_exchange(
                Exchange(
                    id=f"e{number}",
                    conversation=f"c{number}",
                    started=1_000_000_000.0 + number,
                    task=task,
                    answer=f"```python\nx = {number}  # [/b]\n```\n",
                    outcome=Outcome.STOP,
                )
            )
    return tmp_path


async def open_list(opened: OpenedChat) -> OptionList:
    await opened.press("ctrl+l")
    await opened.until(lambda: isinstance(opened.app.screen, ConversationsScreen))
    options = opened.app.screen.query_one(OptionList)
    await opened.until(lambda: options.option_count > 0)
    return options


def titles(opened: OpenedChat) -> list[str]:
    with opened.open_history() as history:
        return [row.title for row in history.list_conversations()]


def test_a_conversation_is_resumed_and_goes_on(kept: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        await open_list(opened)
        await opened.press("down", "enter")
        await opened.until(opened.is_in_chat)
        await opened.until_shown("x = 0  # [/b]")
        await opened.ask("reverse")

    opened = play(OpenedChat(history=kept), run)
    assert opened.scripted.requests[0].turns[0].text == "sort a list"
    assert opened.saved[-1].conversation == "c0"


def test_search_narrows_the_list_and_escape_widens_it_again(kept: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        options = await open_list(opened)
        await opened.press("slash")
        await opened.type("csv")
        await opened.until(lambda: options.option_count == 1)
        assert "read a CSV file" in opened.shown()
        await opened.press("escape")
        await opened.until(lambda: options.option_count == 2)
        await opened.press("escape")
        await opened.until(opened.is_in_chat)

    play(OpenedChat(history=kept), run)


def test_search_for_what_is_not_there_says_so(kept: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        await open_list(opened)
        await opened.press("slash")
        await opened.type("zebra")
        await opened.until_shown("nothing found")

    play(OpenedChat(history=kept), run)


def test_the_conversation_under_the_cursor_is_previewed(kept: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        await open_list(opened)
        await opened.until_shown("x = 1  # [/b]")
        await opened.press("down")
        await opened.until_shown("x = 0  # [/b]")

    play(OpenedChat(history=kept), run, size=(100, 40))


def test_a_conversation_is_renamed(kept: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        await open_list(opened)
        await opened.press("r")
        await opened.until_shown("Another title")
        await opened.press("ctrl+a", "ctrl+k")
        await opened.type("tables [/b]")
        await opened.press("enter")
        await opened.until(lambda: "tables [/b]" in titles(opened))
        await opened.until_shown("tables [/b]")

    play(OpenedChat(history=kept), run)


def test_a_conversation_is_deleted_only_after_yes(kept: Path) -> None:
    async def run(opened: OpenedChat) -> None:
        options = await open_list(opened)
        await opened.press("d")
        await opened.until_shown("cannot be brought back")
        await opened.press("enter")
        await opened.until(lambda: isinstance(opened.app.screen, ConversationsScreen))
        assert len(titles(opened)) == 2
        await opened.press("d")
        await opened.until_shown("cannot be brought back")
        await opened.press("y")
        await opened.until(lambda: options.option_count == 1)
        assert titles(opened) == ["sort a list"]

    play(OpenedChat(history=kept), run)


@pytest.mark.parametrize(
    ("name", "begins"), [("out.md", "# read a CSV file"), ("out.py", "# read a CSV file")]
)
def test_a_conversation_is_exported(
    kept: Path, monkeypatch: pytest.MonkeyPatch, name: str, begins: str
) -> None:
    monkeypatch.chdir(kept)

    async def run(opened: OpenedChat) -> None:
        await open_list(opened)
        await opened.press("e")
        await opened.until_shown("Export to")
        await opened.press("ctrl+a", "ctrl+k")
        await opened.type(name)
        await opened.press("enter")
        await opened.until_shown("exported to")

    play(OpenedChat(history=kept), run)
    text = (kept / name).read_text()
    assert text.startswith(begins)
    assert "x = 1  # [/b]" in text
    if name.endswith(".py"):
        compile(text, name, "exec")


def test_a_history_that_is_damaged_is_said_and_the_chat_goes_on(tmp_path: Path) -> None:
    (tmp_path / "history").mkdir(mode=0o700)
    (tmp_path / "history" / "history.db").write_bytes(b"nonsense" * 500)

    async def run(opened: OpenedChat) -> None:
        await opened.press("ctrl+l")
        await opened.until_shown("damaged")
        await opened.press("escape")
        await opened.until(opened.is_in_chat)

    play(OpenedChat(history=tmp_path), run)


def test_a_new_conversation_begins_without_earlier_turns() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("one")
        await opened.press("ctrl+n")
        await opened.until(lambda: opened.views() == [])
        await opened.ask("two")

    opened = play(OpenedChat(), run)
    assert [turn.text for turn in opened.scripted.requests[-1].turns] == ["two"]
    assert opened.saved[0].conversation != opened.saved[-1].conversation


async def open_parameters(opened: OpenedChat) -> None:
    await opened.press("ctrl+o")
    await opened.until(lambda: isinstance(opened.app.screen, ParametersScreen))
    await opened.pilot.pause()


def test_parameters_go_into_the_next_request_and_are_shown() -> None:
    async def run(opened: OpenedChat) -> None:
        await open_parameters(opened)
        opened.app.screen.query_one("#temperature", Input).value = "0.8"
        opened.app.screen.query_one("#seed", Input).value = "42"
        await opened.press("enter")
        await opened.until(opened.is_in_chat)
        await opened.until_shown("t 0.8 · max 1024 · seed 42")
        await opened.ask("add")

    sampling = play(OpenedChat(), run).scripted.requests[0].sampling
    assert (sampling.temperature, sampling.seed) == (0.8, 42)


def test_a_parameter_out_of_range_is_refused_with_the_range() -> None:
    async def run(opened: OpenedChat) -> None:
        await open_parameters(opened)
        opened.app.screen.query_one("#temperature", Input).value = "9"
        await opened.press("enter")
        await opened.until_shown("Temperature must be a number from 0 to 2")
        await opened.press("escape")
        await opened.until(opened.is_in_chat)

    play(OpenedChat(), run)


def test_another_model_is_made_the_active_one() -> None:
    used: list[str] = []

    def use(name: str) -> str:
        used.append(name)
        return ""

    async def run(opened: OpenedChat) -> None:
        await open_parameters(opened)
        select = opened.app.screen.query_one("#model")
        await opened.until(lambda: len(getattr(select, "_options", [])) >= 3)
        setattr(select, "value", "mine")  # noqa: B010 - the widget's type is not known here
        await opened.press("enter")
        await opened.until(lambda: bool(used))
        await opened.until_shown("mine · t 0")

    play(OpenedChat(list_models=lambda: ["base", "mine"], use_model=use), run)
    assert used == ["mine"]


def test_a_model_that_cannot_be_used_is_said() -> None:
    def use(name: str) -> str:
        raise UnknownModelError(f"there is no model {name}")

    async def run(opened: OpenedChat) -> None:
        await open_parameters(opened)
        select = opened.app.screen.query_one("#model")
        await opened.until(lambda: len(getattr(select, "_options", [])) >= 2)
        setattr(select, "value", "mine")  # noqa: B010 - the widget's type is not known here
        await opened.press("enter")
        await opened.until_shown("there is no model mine")

    play(OpenedChat(list_models=lambda: ["mine"], use_model=use), run)


def test_every_action_is_in_the_palette() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        titles = {command.title for command in opened.app.get_system_commands(opened.app.screen)}
        assert {"Copy code", "Refine", "Run", "Conversations", "Parameters", "Theme", "Quit"} <= titles
        [refine] = [
            command
            for command in opened.app.get_system_commands(opened.app.screen)
            if command.title == "Refine"
        ]
        refine.callback()
        await opened.until(lambda: bool(opened.input().text))

    play(OpenedChat(), run)


def test_changed_keys_are_in_the_help() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.press("f1")
        await opened.until_shown("Ctrl+Enter")

    play(OpenedChat(keymap={"send": "ctrl+enter"}), run, size=(100, 50))
