from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from assistant.errors import StorageError, UsageError
from assistant.history import schema
from assistant.history.records import Exchange, Outcome, new_id
from assistant.history.store import History, open_history
from assistant.requests import Sampling, Usage


def an_exchange(task: str = "sum a list", **changes: object) -> Exchange:
    values = {"id": new_id(), "conversation": "c1", "started": 1000.0, "task": task, **changes}
    return Exchange(**values)  # pyright: ignore[reportArgumentType]


def test_an_exchange_comes_back_as_it_was_saved(history: History) -> None:
    exchange = an_exchange(
        input="[1, 2]\r\n\tx",
        answer="```python\nprint('漢字', [x for x in y])\n```\x1b[31m\0end",
        outcome=Outcome.LENGTH,
        model="smol",
        sampling=Sampling(temperature=0.5, top_p=0.9, max_tokens=7, seed=2**63 - 1),
        usage=Usage(prompt_tokens=3, completion_tokens=4),
        seconds=1.5,
        tokens_per_s=20.0,
        source="chat",
        variant_of="abc",
    )
    history.save_exchange(exchange)
    assert history.read_exchanges("c1") == [exchange]


def test_saving_the_same_id_again_replaces_it(history: History) -> None:
    first = an_exchange(id="e1", answer="old words")
    history.save_exchange(first)
    history.save_exchange(an_exchange(id="e1", answer="new text", outcome=Outcome.STOP))
    [kept] = history.read_exchanges("c1")
    assert kept.answer == "new text"
    assert history.search("old") == []


def test_a_lone_surrogate_is_replaced_instead_of_failing(history: History) -> None:
    history.save_exchange(an_exchange(task="caf\udce9"))
    assert history.read_exchanges("c1")[0].task == "caf\ufffd"


def test_the_conversation_takes_its_title_from_its_first_task(history: History) -> None:
    history.save_exchange(an_exchange("\n  first line  \nsecond"))
    history.save_exchange(an_exchange("another", started=1001.0))
    [conversation] = history.list_conversations()
    assert (conversation.title, conversation.exchanges) == ("first line", 2)
    assert (conversation.started, conversation.changed) == (1000.0, 1001.0)


def test_conversations_are_listed_with_the_last_changed_first(history: History) -> None:
    for number in range(5):
        history.save_exchange(an_exchange(conversation=f"c{number}", started=1000.0 + number))
    assert [row.id for row in history.list_conversations(limit=2, offset=1)] == ["c3", "c2"]


def test_a_renamed_conversation_keeps_its_title_when_it_goes_on(history: History) -> None:
    history.save_exchange(an_exchange())
    history.rename("c1", "sums")
    history.save_exchange(an_exchange("more", started=1002.0))
    assert history.list_conversations()[0].title == "sums"


def test_search_finds_beginnings_of_words_in_task_input_and_answer(history: History) -> None:
    history.save_exchange(an_exchange("fibonacci numbers"))
    history.save_exchange(an_exchange("plot", input="matplotlib data"))
    history.save_exchange(an_exchange("read", answer="import pandas as pd"))
    for text, task in (("fibo", "fibonacci numbers"), ("matplot", "plot"), ("pandas import", "read")):
        assert [match.exchange.task for match in history.search(text)] == [task]


def test_search_wants_all_words(history: History) -> None:
    history.save_exchange(an_exchange("sort a list"))
    assert history.search("sort tuple") == []


@pytest.mark.parametrize(
    "text", ['"', "AND", "NEAR(", "a*b", "col:x", "[x for x", "^", "-x", "()", "'; DROP"]
)
def test_search_takes_operators_as_text(history: History, text: str) -> None:
    history.save_exchange(an_exchange(f"what does {text} mean"))
    history.save_exchange(an_exchange("something else entirely"))
    assert len(history.search(text)) == 1


def test_search_finds_the_middle_of_a_word_when_nothing_begins_so(history: History) -> None:
    history.save_exchange(an_exchange(answer="漢字仮名"))
    assert len(history.search("仮名")) == 1


def test_a_finding_shows_the_words_around_it(history: History) -> None:
    history.save_exchange(an_exchange("x", answer="word " * 100 + "needle\n" + "word " * 100))
    assert "needle" in history.search("needle")[0].snippet


def test_search_for_nothing_finds_nothing(history: History) -> None:
    history.save_exchange(an_exchange())
    assert history.search("  ") == []


def test_recent_tasks_are_each_there_once_and_the_newest_first(history: History) -> None:
    for number, task in enumerate(["a", "b", "a"]):
        history.save_exchange(an_exchange(task, started=float(number)))
    assert history.recent_tasks() == ["a", "b"]


def test_a_conversation_is_found_by_the_beginning_of_its_id(history: History) -> None:
    history.save_exchange(an_exchange(conversation="abcd"))
    found = history.find_conversation("ab")
    assert found is not None
    assert found.id == "abcd"
    assert history.find_conversation("x") is None
    assert history.find_conversation("") is None


def test_an_ambiguous_id_is_refused(history: History) -> None:
    for name in ("abc1", "abc2"):
        history.save_exchange(an_exchange(conversation=name))
    with pytest.raises(UsageError, match="several"):
        history.find_conversation("abc")


def test_deleted_text_leaves_no_trace_in_the_file(history: History, path: Path) -> None:
    history.save_exchange(an_exchange("keep", conversation="other"))
    history.save_exchange(an_exchange("sesame", answer="opensesame " * 500))
    history.delete("c1")
    assert history.list_conversations()[0].id == "other"
    assert history.search("sesame") == []
    for file in path.parent.iterdir():
        assert b"sesame" not in file.read_bytes()


def test_deleting_all_says_how_many_there_were(history: History, path: Path) -> None:
    for name in ("a", "b"):
        history.save_exchange(an_exchange("xyzzy", conversation=name))
    assert history.delete_all() == 2
    assert history.list_conversations() == []
    assert b"xyzzy" not in path.read_bytes()


def test_nobody_else_can_read_it(history: History, path: Path) -> None:
    history.save_exchange(an_exchange())
    for file in [path, *path.parent.glob("history.db-*")]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    with open_history(path):
        pass
    path.chmod(0o644)
    with open_history(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_directory_that_others_can_enter_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o755)
    with pytest.raises(UsageError, match="others"):
        open_history(path)


def test_a_link_in_place_of_the_file_is_refused(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        open_history(path)


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    with open_history(path) as history:
        history.save_exchange(an_exchange())
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StorageError, match="newer"):
        open_history(path)


def test_a_damaged_file_is_reported_and_left_alone(path: Path) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(StorageError, match="damaged"):
        open_history(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_locked_history_is_reported_after_the_timeout(history: History, path: Path) -> None:
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    try:
        with open_history(path, busy_timeout_s=0.05) as second, pytest.raises(StorageError, match="locked"):
            second.save_exchange(an_exchange())
    finally:
        blocker.close()


def test_a_lock_that_is_released_in_time_is_waited_for(history: History, path: Path) -> None:
    blocker = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    blocker.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.2, blocker.rollback)
    release.start()
    history.save_exchange(an_exchange())
    release.join()
    blocker.close()
    assert len(history.read_exchanges("c1")) == 1


def test_a_full_disk_is_reported_and_loses_nothing(history: History) -> None:
    history.save_exchange(an_exchange("kept"))
    pages = history._connection.execute("PRAGMA page_count").fetchone()[0]
    history._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="no space"):
        history.save_exchange(an_exchange("big", answer="x" * 1_000_000))
    assert [exchange.task for exchange in history.read_exchanges("c1")] == ["kept"]


def test_steps_that_fail_leave_the_older_version(path: Path) -> None:
    with open_history(path) as history:
        history.save_exchange(an_exchange("kept"))
    broken = (*schema.STEPS, ("ALTER TABLE exchanges ADD COLUMN extra TEXT", "NONSENSE"))
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, broken)
    assert schema.read_version(connection) == len(schema.STEPS)
    columns = [row[1] for row in connection.execute("PRAGMA table_info(exchanges)")]
    connection.close()
    assert "extra" not in columns


def test_a_later_step_runs_once_and_keeps_what_is_there(path: Path) -> None:
    with open_history(path) as history:
        history.save_exchange(an_exchange("kept"))
    steps = (*schema.STEPS, ("ALTER TABLE exchanges ADD COLUMN extra TEXT DEFAULT 'x'",))
    connection = sqlite3.connect(path, isolation_level=None)
    schema.migrate(connection, steps)
    schema.migrate(connection, steps)
    rows = connection.execute("SELECT task, extra FROM exchanges").fetchall()
    connection.close()
    assert rows == [("kept", "x")]


WRITER = """
import sys
from assistant.history.records import Exchange
from assistant.history.store import open_history
name, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    with open_history() as history:
        history.save_exchange(
            Exchange(id=f"{name}-{number}", conversation=name, started=float(number), task=f"task {number}")
        )
    print(number, flush=True)
"""


def test_programs_that_open_and_write_at_once_lose_nothing(path: Path) -> None:
    names = ["one", "two", "three", "four"]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name, "25"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
            env={**os.environ},
        )
        for name in names
    ]
    errors = [process.communicate()[1].decode() for process in started]
    assert errors == [""] * len(names)
    with open_history(path) as history:
        assert [len(history.read_exchanges(name)) for name in names] == [25] * len(names)


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.slow)])
def test_killing_the_writer_loses_no_exchange_that_it_reported(path: Path, rounds: int) -> None:
    for number in range(rounds):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, f"w{number}", "1000"],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert writer.stdout is not None
        reported = [int(writer.stdout.readline()) for _ in range(1 + number % 7)]
        writer.kill()
        rest, _ = writer.communicate()
        reported += [int(line) for line in rest.split()]
        with open_history(path) as history:
            kept = {exchange.id for exchange in history.read_exchanges(f"w{number}")}
        assert {f"w{number}-{one}" for one in reported} <= kept
