"""Real processes that are killed or interrupted while they evaluate."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fake_evaluation import write_suite
from homes import wait_until
from program import ROOT, Program

FULL_DISK = (
    "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (2500, resource.RLIM_INFINITY)); "
)
PATCH = "from fake_evaluation import SeededGenerator, install; install(SeededGenerator(pause_s={pause_s}))"
ARGUMENTS = ("evaluate", "--n", "3", "--name", "parts", "--suite")


@pytest.fixture
def program(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    monkeypatch.setenv("PYTHONPATH", os.fspath(ROOT / "tests" / "support"))
    return Program(home=home, directory=tmp_path, patch=PATCH.format(pause_s=0.03))


def count_rows(home: Path, name: str = "replies.jsonl") -> int:
    path = home / "data" / "evaluations" / "parts" / name
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for_rows(process: subprocess.Popen[bytes], home: Path, wanted: int) -> None:
    wait_until(lambda: process.poll() is not None or count_rows(home) >= wanted, seconds=30)


def finish(program: Program, suite: Path, home: Path, answers: int) -> dict[str, Any]:
    program.patch = PATCH.format(pause_s=0.0)
    done = program.run(*ARGUMENTS, str(suite), "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["evaluations"]
    assert (count_rows(home), count_rows(home, "scores.jsonl")) == (answers, answers)
    return {key: value for key, value in found.items() if key not in ("name", "record")}


def measure_whole(home: Path, tmp_path: Path, suite: Path) -> dict[str, Any]:
    program = Program(home=home, directory=tmp_path, patch=PATCH.format(pause_s=0.0))
    done = program.run("evaluate", "--n", "3", "--name", "whole", "--suite", str(suite), "--json")
    (found,) = json.loads(done.stdout)["evaluations"]
    return {key: value for key, value in found.items() if key not in ("name", "record")}


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_at_random_moments_it_ends_with_the_same_numbers(
    program: Program, home: Path, tmp_path: Path, kills: int
) -> None:
    suite = write_suite(tmp_path / "suite.jsonl", 8 * kills)
    whole = measure_whole(home, tmp_path, suite)
    chance = random.Random(kills)
    killed = 0
    for _ in range(kills):
        process = program.start(*ARGUMENTS, str(suite))
        wait_for_rows(process, home, count_rows(home) + chance.randrange(1, 8))
        process.kill()
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
    assert killed >= kills // 2
    assert finish(program, suite, home, 24 * kills) == whole


def test_ctrl_c_keeps_what_is_done_and_says_what_goes_on(program: Program, home: Path, suite: Path) -> None:
    program.patch = PATCH.format(pause_s=0.3)
    process = program.start(*ARGUMENTS, str(suite))
    wait_for_rows(process, home, 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    kept = count_rows(home)
    assert (process.returncode, out) == (130, b"")
    assert 2 <= kept < 36
    line = err.decode().strip().splitlines()[-1]
    assert line == "interrupted; go on with: assistant evaluate --resume --name parts"
    program.patch = PATCH.format(pause_s=0.0)
    done = program.run(*line.partition("assistant ")[2].split())
    assert done.returncode == 0, done.stderr
    assert (count_rows(home), count_rows(home, "scores.jsonl")) == (36, 36)


def test_a_full_disk_keeps_what_fits_and_goes_on_when_there_is_room(
    program: Program, home: Path, suite: Path
) -> None:
    program.patch = FULL_DISK + PATCH.format(pause_s=0.0)
    done = program.run(*ARGUMENTS, str(suite))
    assert (done.returncode, done.stdout) == (74, "")
    assert "s.jsonl: File too large" in done.stderr
    assert 0 < count_rows(home) < 36
    finish(program, suite, home, 36)
