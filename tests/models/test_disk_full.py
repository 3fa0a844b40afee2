from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_models import build_model, publish

from assistant.errors import StorageError
from assistant.models.pull import pull
from assistant.models.store import ModelStore

DISK_BYTES = 2 * 1024 * 1024
PAGE = 4096


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "assistant-test", str(place)]
    try:
        mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def large_model(tmp_path: Path) -> Path:
    """Some 200 kB in several files."""
    directory = build_model(tmp_path / "large", seed=3)
    for number in range(6):
        (directory / f"part-{number}.txt").write_bytes(os.urandom(32_000))
    return directory


def leave_free(disk: Path, free: int) -> None:
    ballast = disk / "ballast"
    ballast.unlink(missing_ok=True)
    size = shutil.disk_usage(disk).free - free
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


def try_to_pull(store: ModelStore, source: Path, name: str, *, replace: bool) -> StorageError | None:
    try:
        pull(str(source), store, name=name, replace=replace, report=lambda progress: None)
    except StorageError as error:
        return error
    return None


@pytest.mark.parametrize("replace", [False, True], ids=["new", "replace"])
def test_a_disk_that_fills_up_anywhere_in_a_pull_loses_nothing(
    small_disk: Path, large_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    store = ModelStore(small_disk / "store")
    publish(store, "a", build_model(tmp_path / "small"))
    store.use("a")
    name = "a" if replace else "b"
    roomy = shutil.disk_usage(tmp_path)
    full = 0
    for free in range(0, 320_000, 4 * PAGE):
        leave_free(small_disk, free)
        with monkeypatch.context() as patch:
            # As if others filled the disk after we had looked.
            patch.setattr(shutil, "disk_usage", lambda path: roomy)  # pyright: ignore[reportUnknownLambdaType]
            error = try_to_pull(store, large_model, name, replace=replace)
        if error is None:
            break
        full += 1
        assert "no space" in error.message
        assert store.active() == "a"
        assert store.verify("a")
        assert store.names() == ["a"]
        assert not list(store.root.glob(".tmp-*"))
    assert full > 5
    assert store.verify(name)


def test_a_full_disk_while_choosing_a_model_keeps_the_choice_and_space_mends_it(
    small_disk: Path, tmp_path: Path
) -> None:
    store = ModelStore(small_disk / "store")
    for seed, name in enumerate("ab"):
        publish(store, name, build_model(tmp_path / name, seed=seed))
    store.use("a")
    leave_free(small_disk, 0)
    with pytest.raises(StorageError):
        store.use("b")
    assert store.active() == "a"
    (small_disk / "ballast").unlink()
    store.use("b")
    assert store.active() == "b"
