"""What `ask` leaves in the history and takes from it, against a generator that says what it is told to."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from assistant import client
from assistant.cli import main
from assistant.errors import GeneratorLostError
from assistant.generator import ScriptedGenerator
from assistant.history.records import Exchange, Outcome
from assistant.history.store import open_history

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def generator(home: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedGenerator:
    store = home / "data" / "models"
    store.mkdir(parents=True, mode=0o700)
    pointer = {"schema": 1, "active": "scripted", "previous": []}
    (store / "active.json").write_text(json.dumps(pointer), encoding="utf-8")
    scripted = ScriptedGenerator([["x = 1\n"], ["y = 2\n"]])
    monkeypatch.setattr(sys, "stdin", None)
    monkeypatch.setattr(client, "create_generator", lambda config: scripted)
    return scripted


def kept() -> list[Exchange]:
    with open_history() as history:
        rows = history.list_conversations()
        return [exchange for row in reversed(rows) for exchange in history.read_exchanges(row.id)]


def test_an_answer_is_kept(generator: ScriptedGenerator) -> None:
    assert main(["ask", "set x", "--input", "old", "--temperature", "0.5", "--seed", "3"]) == 0
    [exchange] = kept()
    assert (exchange.task, exchange.input, exchange.answer) == ("set x", "old", "x = 1\n")
    assert (exchange.outcome, exchange.source, exchange.model) == (Outcome.STOP, "ask", "scripted")
    assert (exchange.sampling.temperature, exchange.sampling.seed) == (0.5, 3)


def test_two_calls_are_two_conversations(generator: ScriptedGenerator) -> None:
    main(["ask", "set x"])
    main(["ask", "set y"])
    assert len({exchange.conversation for exchange in kept()}) == 2


def test_continue_takes_the_last_turns_along_and_stays_in_the_conversation(
    generator: ScriptedGenerator,
) -> None:
    main(["ask", "set x"])
    assert main(["ask", "-c", "now y", "--input", "z"]) == 0
    turns = [(turn.text, turn.input) for turn in generator.requests[-1].turns]
    assert turns == [("set x", ""), ("x = 1\n", ""), ("now y", "z")]
    assert len({exchange.conversation for exchange in kept()}) == 1


def test_continue_without_a_conversation_says_so(
    generator: ScriptedGenerator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "-c", "more"]) == 2
    assert "no conversation" in capsys.readouterr().err
    assert generator.requests == []


@pytest.mark.parametrize("arguments", [["--no-log"], []])
def test_nothing_is_kept_where_that_is_wanted(
    generator: ScriptedGenerator, home: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    if not arguments:
        monkeypatch.setenv("ASSISTANT_HISTORY_KEEP", "off")
    assert main(["ask", "set x", *arguments]) == 0
    assert not (home / "data" / "history").exists()


def test_a_failed_answer_is_kept_with_its_reason(
    generator: ScriptedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = ScriptedGenerator([GeneratorLostError("it ended")])
    monkeypatch.setattr(client, "create_generator", lambda config: failing)
    assert main(["ask", "set x"]) == 3
    [exchange] = kept()
    assert (exchange.outcome, exchange.error) == (Outcome.FAILED, "it ended")


def test_a_history_that_cannot_be_used_costs_a_warning_and_no_answer(
    generator: ScriptedGenerator, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "data" / "history" / "history.db"
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(b"nonsense" * 500)
    assert main(["ask", "-c", "set x"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "x = 1\n"
    assert captured.err.count("warning:") == 2
