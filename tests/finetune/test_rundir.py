from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from assistant.errors import ModelError, StorageError, UsageError
from finetune.rundir import RunDir, find_runs, new_run, open_run, write_json_lines, write_record


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    return tmp_path


def fill(run: RunDir, stage: str, text: str) -> None:
    with run.open_stage(stage) as directory:
        (directory / "rows").write_text(text)
        write_record(directory, stage, {"rows": len(text)})


def interrupt(run: RunDir) -> None:
    with run.open_stage("prepare") as directory:
        (directory / "rows").write_text("new")
        raise KeyboardInterrupt


def read(run: RunDir, stage: str) -> str:
    return (run.get_stage(stage) / "rows").read_text()


def test_a_stage_is_there_when_all_of_it_is(home: Path) -> None:
    run = new_run("a", suggestion="")
    with run.locked():
        with run.open_stage("prepare") as directory:
            write_record(directory, "prepare", {})
            assert run.find_stage("prepare") is None
        assert run.find_stage("prepare") == home / "data" / "runs" / "a" / "prepare"
        assert run.read_record("prepare")["stage"] == "prepare"


def test_only_this_user_can_enter(home: Path) -> None:
    run = new_run("a", suggestion="")
    with run.locked():
        fill(run, "prepare", "x")
        write_json_lines(run.path / "rows.jsonl", [{"a": 1}])
    directories = [home / "data" / "runs", run.path, run.path / "prepare"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in directories] == [0o700] * 3
    files = [run.path / "rows.jsonl", run.path / "prepare" / "record.json"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 2


@pytest.mark.usefixtures("home")
def test_a_stage_that_fails_leaves_the_earlier_one() -> None:
    run = new_run("a", suggestion="")
    with run.locked():
        fill(run, "prepare", "old")
        with pytest.raises(KeyboardInterrupt):
            interrupt(run)
        assert read(run, "prepare") == "old"
        assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.usefixtures("home")
def test_a_full_disk_leaves_the_earlier_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    run = new_run("a", suggestion="")
    with run.locked():
        fill(run, "prepare", "old")

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            with pytest.raises(StorageError, match="no space left"):
                fill(run, "prepare", "new")
        assert read(run, "prepare") == "old"


@pytest.mark.usefixtures("home")
def test_a_process_killed_between_the_two_renames_loses_nothing() -> None:
    run = new_run("a", suggestion="")
    with run.locked():
        fill(run, "prepare", "old")
    (run.path / "prepare").rename(run.path / ".old-prepare")
    (run.path / ".new-prepare-1234").mkdir()
    with run.locked():
        assert read(run, "prepare") == "old"
    assert not (run.path / ".new-prepare-1234").exists()


@pytest.mark.usefixtures("home")
def test_an_old_stage_goes_when_there_is_a_new_one() -> None:
    run = new_run("a", suggestion="")
    with run.locked():
        fill(run, "prepare", "new")
    (run.path / ".old-prepare").mkdir()
    with run.locked():
        assert read(run, "prepare") == "new"
    assert not (run.path / ".old-prepare").exists()


def hold(path: Path, held: Any, done: Any) -> None:
    with RunDir(path).locked():
        held.set()
        done.wait(60)


@pytest.mark.usefixtures("home")
def test_two_processes_do_not_work_on_one_run() -> None:
    run = new_run("a", suggestion="")
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(run.path, held, done))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(ModelError, match="the run a"), run.locked():
            pass
    finally:
        done.set()
        other.join()


@pytest.mark.usefixtures("home")
def test_a_damaged_record_is_named() -> None:
    run = new_run("a", suggestion="")
    with run.locked():
        fill(run, "prepare", "x")
    (run.path / "prepare" / "record.json").write_text('{"schema": 1')
    with pytest.raises(UsageError, match=r"record\.json cannot be read"):
        run.read_record("prepare")


@pytest.mark.usefixtures("home")
def test_a_name_is_suggested_and_numbered() -> None:
    for expected in ("my-data", "my-data-2", "my-data-3"):
        run = new_run("", suggestion="My Data!")
        assert run.name == expected
        with run.locked():
            fill(run, "prepare", "x")
    assert set(find_runs()) == {"my-data", "my-data-2", "my-data-3"}


@pytest.mark.usefixtures("home")
def test_a_name_that_is_taken_is_refused_unless_it_is_replaced() -> None:
    run = new_run("a", suggestion="")
    with run.locked():
        fill(run, "prepare", "x")
    with pytest.raises(UsageError, match="there is a run a"):
        new_run("a", suggestion="")
    assert new_run("a", suggestion="", replace=True).path == run.path


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["../a", "A", "a/b", ".", "a" * 65, "ü"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a run's name"):
        new_run(name, suggestion="")


@pytest.mark.usefixtures("home")
def test_a_run_that_is_not_there_is_named_with_those_there_are() -> None:
    run = new_run("there", suggestion="")
    with run.locked():
        fill(run, "prepare", "x")
    with pytest.raises(UsageError, match="there is no run gone") as caught:
        open_run("gone")
    assert caught.value.hint == "there are there"


def test_a_directory_that_others_can_enter_is_refused(home: Path) -> None:
    runs = home / "data" / "runs"
    runs.mkdir(parents=True)
    runs.chmod(0o755)
    with pytest.raises(UsageError, match="can be entered by others"), new_run("a", suggestion="").locked():
        pass
