from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from assistant.errors import AssistantError, StorageError
from assistant.history.recorder import Recorder
from assistant.history.records import Exchange, Outcome
from assistant.history.store import History, open_history


def an_exchange(name: str, answer: str = "") -> Exchange:
    return Exchange(id=name, conversation="c", started=1.0, task="t", answer=answer, outcome=Outcome.STOP)


def stored(path: Path) -> list[str]:
    with open_history(path) as history:
        return [exchange.id for exchange in history.read_exchanges("c")]


class Doors:
    """Opens the history, or refuses to, as it is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_shut = False

    def open(self) -> History:
        if self.is_shut:
            raise StorageError("no space left")
        return open_history(self.path, busy_timeout_s=0.05)


def test_what_is_saved_is_in_the_file_after_closing(path: Path) -> None:
    recorder = Recorder(lambda error: None)
    for name in ("a", "b", "c"):
        recorder.save(an_exchange(name))
    assert recorder.close()
    assert stored(path) == ["a", "b", "c"]


def test_nothing_is_opened_before_there_is_something_to_save(path: Path) -> None:
    assert Recorder(lambda error: None).close()
    assert not path.exists()


def test_a_newer_state_replaces_one_that_waits(path: Path) -> None:
    recorder = Recorder(lambda error: None)
    for length in range(200):
        recorder.save(an_exchange("a", answer="x" * length))
    assert recorder.close()
    with open_history(path) as history:
        assert history.read_exchanges("c")[0].answer == "x" * 199


def test_a_failure_is_told_once_and_the_exchange_is_written_when_it_is_over(path: Path) -> None:
    doors, told, heard = Doors(path), list[AssistantError](), threading.Event()
    doors.is_shut = True

    def warn(error: AssistantError) -> None:
        told.append(error)
        heard.set()

    recorder = Recorder(warn, doors.open)
    recorder.save(an_exchange("a"))
    assert heard.wait(10)
    recorder.save(an_exchange("b"))
    doors.is_shut = False
    recorder.save(an_exchange("c"))
    assert recorder.close()
    assert stored(path) == ["a", "b", "c"]
    assert [error.message for error in told] == ["no space left"]


def test_what_cannot_be_written_at_the_end_is_admitted(path: Path) -> None:
    doors = Doors(path)
    doors.is_shut = True
    recorder = Recorder(lambda error: None, doors.open)
    recorder.save(an_exchange("a"))
    assert not recorder.close()


def test_an_exchange_waits_out_another_program_that_holds_the_file(path: Path) -> None:
    with open_history(path):
        pass
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    heard = threading.Event()
    recorder = Recorder(lambda error: heard.set(), Doors(path).open)
    recorder.save(an_exchange("a"))
    assert heard.wait(10)
    blocker.close()
    assert recorder.close()
    assert stored(path) == ["a"]


def test_a_deleted_conversation_does_not_come_back(path: Path) -> None:
    recorder = Recorder(lambda error: None)
    recorder.save(an_exchange("a"))
    assert recorder.wait_idle(timeout_s=10)
    recorder.forget("c")
    with open_history(path) as history:
        history.delete("c")
    recorder.save(an_exchange("a", answer="more"))
    assert recorder.close()
    assert stored(path) == []
