from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from assistant.errors import StorageError
from finetune.training.checkpoints import Checkpoints


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def write(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        with checkpoints.open_checkpoint(step) as directory:
            (directory / "adapter").write_bytes(b"weights")
            (directory / "state").write_bytes(bytes([step]))


def test_the_newest_checkpoint_is_found(checkpoints: Checkpoints) -> None:
    assert checkpoints.find_newest() is None
    write(checkpoints, 5, 10)
    assert checkpoints.find_newest() == 10


@pytest.mark.parametrize(
    "damage", ["cut", "changed", "missing", "no marker", "broken marker", "empty marker"]
)
def test_a_checkpoint_that_is_not_whole_is_passed_over(checkpoints: Checkpoints, damage: str) -> None:
    write(checkpoints, 5, 10)
    newest = checkpoints.get_path(10)
    match damage:
        case "cut":
            (newest / "adapter").write_bytes(b"wei")
        case "changed":
            (newest / "adapter").write_bytes(b"weightz")
        case "missing":
            (newest / "adapter").unlink()
        case "no marker":
            (newest / "complete.json").unlink()
        case "broken marker":
            (newest / "complete.json").write_text("{")
        case _:
            (newest / "complete.json").write_text(json.dumps({"files": {}}))
    assert checkpoints.find_newest() == 5


def test_the_newest_two_and_the_best_are_kept(checkpoints: Checkpoints) -> None:
    write(checkpoints, 1, 2, 3, 4, 5)
    checkpoints.remove_old(2)
    assert checkpoints.find_steps() == [2, 4, 5]


def fail(checkpoints: Checkpoints, error: Exception) -> None:
    with checkpoints.open_checkpoint(10) as directory:
        (directory / "adapter").write_bytes(b"wei")
        raise error


def test_a_checkpoint_that_could_not_be_written_leaves_the_others(checkpoints: Checkpoints) -> None:
    write(checkpoints, 5)
    with pytest.raises(StorageError, match="no space left"):
        fail(checkpoints, OSError(errno.ENOSPC, "No space left on device"))
    assert checkpoints.find_newest() == 5
    assert [path.name for path in checkpoints.path.iterdir()] == ["checkpoint-000005"]


def test_torchs_own_word_for_a_full_disk_is_understood(checkpoints: Checkpoints) -> None:
    with pytest.raises(StorageError, match="cannot write"):
        fail(checkpoints, RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"))


def test_half_of_a_checkpoint_is_replaced_by_the_same_steps_whole_one(checkpoints: Checkpoints) -> None:
    write(checkpoints, 5)
    (checkpoints.get_path(5) / "complete.json").unlink()
    write(checkpoints, 5)
    assert checkpoints.find_newest() == 5


def test_only_the_user_can_read_a_checkpoint(checkpoints: Checkpoints) -> None:
    write(checkpoints, 5)
    assert checkpoints.get_path(5).stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in checkpoints.get_path(5).iterdir())
