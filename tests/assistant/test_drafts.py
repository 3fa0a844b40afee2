from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.drafts import Draft, DraftKeeper


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "drafts"


def test_there_is_nothing_to_adopt_at_first(directory: Path) -> None:
    assert DraftKeeper(directory).adopt() is None


def test_a_draft_that_is_left_behind_is_adopted_once(directory: Path) -> None:
    draft = Draft(task="sort 漢字 \udce9\n", input="[x for x in y]\0\x1b", input_name="a.py")
    left = DraftKeeper(directory)
    left.write(draft)
    left.close(draft)
    first, second = DraftKeeper(directory), DraftKeeper(directory)
    assert first.adopt() == draft
    assert second.adopt() is None


def test_a_draft_of_a_living_program_is_left_alone(directory: Path) -> None:
    living = DraftKeeper(directory)
    living.write(Draft(task="mine"))
    assert DraftKeeper(directory).adopt() is None


def test_the_newest_of_several_is_adopted_and_the_others_wait(directory: Path) -> None:
    for number, task in enumerate(["old", "new"]):
        keeper = DraftKeeper(directory)
        keeper.write(Draft(task=task))
        keeper.close(Draft(task=task))
        newest = max(directory.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1000 + number, 1000 + number))
    keepers = [DraftKeeper(directory), DraftKeeper(directory)]
    assert [keeper.adopt() for keeper in keepers] == [Draft(task="new"), Draft(task="old")]


def test_an_adopted_draft_survives_a_second_crash(directory: Path) -> None:
    left = DraftKeeper(directory)
    left.close(Draft(task="kept"))
    second = DraftKeeper(directory)
    second.adopt()
    del second
    assert DraftKeeper(directory).adopt() == Draft(task="kept")


def test_an_empty_draft_leaves_no_file(directory: Path) -> None:
    keeper = DraftKeeper(directory)
    keeper.write(Draft(task="sent by now"))
    keeper.close(Draft())
    assert list(directory.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"task": null}', b"\xff\xfe"])
def test_a_damaged_draft_is_passed_over(directory: Path, content: bytes) -> None:
    good = DraftKeeper(directory)
    good.close(Draft(task="good"))
    bad = directory / "ffff.json"
    bad.write_bytes(content)
    assert DraftKeeper(directory).adopt() == Draft(task="good")


def test_nobody_else_can_read_a_draft(directory: Path) -> None:
    DraftKeeper(directory).close(Draft(task="private"))
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_what_a_killed_writer_left_half_done_is_swept_up(directory: Path) -> None:
    DraftKeeper(directory).close(Draft(task="x"))
    half = directory / ".ffff.json.0123.tmp"
    half.write_bytes(b"{")
    os.utime(half, (1000, 1000))
    DraftKeeper(directory).adopt()
    assert not half.exists()


TYPIST = """
import sys
from pathlib import Path
from assistant.drafts import Draft, DraftKeeper
keeper = DraftKeeper(Path(sys.argv[1]))
for number in range(100000):
    keeper.write(Draft(task="x" * number))
    print(number, flush=True)
"""


@pytest.mark.parametrize("rounds", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_killing_the_typist_loses_no_draft_that_it_reported(directory: Path, rounds: int) -> None:
    for number in range(rounds):
        typist = subprocess.Popen(
            [sys.executable, "-c", TYPIST, str(directory)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert typist.stdout is not None
        reported = [int(typist.stdout.readline()) for _ in range(1 + number % 7)]
        typist.kill()
        rest, _ = typist.communicate()
        reported += [int(line) for line in rest.split(b"\n")[:-1]]
        keeper = DraftKeeper(directory)
        adopted = keeper.adopt() or Draft()
        keeper.close(Draft())
        assert len(adopted.task) >= reported[-1]
