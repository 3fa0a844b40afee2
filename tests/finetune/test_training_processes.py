"""Training as processes: killed, filled up, several at once. Each start loads the libraries for seconds."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from small_runs import make_codes, make_run
from tiny_llama import save_llama

from finetune.training.checkpoints import Checkpoints

ROOT = Path(__file__).resolve().parents[2]
SETS = (
    "r=4",
    "batch_size=4",
    "device=cpu",
    "max_steps=60",
    "eval_steps=3",
    "threads=1",
    "lr=2e-3",
    "patience=0",
)
KILLS = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))
    base = save_llama(home / "base")
    (home / "data" / "runs").mkdir(parents=True, mode=0o700)
    make_run(home / "data" / "runs" / "small", base, make_codes(40), held_out=8)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def home(prepared: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))
    shutil.copytree(prepared / "data", path / "data")
    yield path
    shutil.rmtree(path)


def start(home: Path, *arguments: str, sets: tuple[str, ...] = SETS, **options: Any) -> subprocess.Popen[str]:
    chosen = [part for text in sets for part in ("--set", text)]
    environment = {
        **os.environ,
        "ASSISTANT_HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "assistant", "finetune", "train", "small", *chosen, *arguments],
        env=environment,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def run(home: Path, *arguments: str, code: int = 0, **options: Any) -> str:
    process = start(home, *arguments, **options)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return err if code else out


def read_losses(home: Path) -> list[float]:
    lines = (home / "data" / "runs" / "small" / "metrics.jsonl").read_text().splitlines()
    return [one.get("loss", one.get("eval_loss")) for one in map(json.loads, lines)]


def get_checkpoints(home: Path) -> Checkpoints:
    return Checkpoints(home / "data" / "runs" / "small" / "checkpoints")


@pytest.fixture(scope="module")
def uninterrupted(prepared: Path) -> list[float]:
    run(prepared)
    return read_losses(prepared)


def wait_for_step(process: subprocess.Popen[str]) -> None:
    """Wait until the first line that tells of a step."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step"):
            return


def test_a_training_that_is_killed_at_any_moment_ends_as_if_it_never_was(
    home: Path, uninterrupted: list[float]
) -> None:
    chooser = random.Random(5)
    checkpoints = get_checkpoints(home)
    for _ in range(KILLS):
        with start(home, "--resume", sets=SETS) as process:
            wait_for_step(process)
            time.sleep(chooser.uniform(0, 0.6))  # any moment will do: nothing is waited for
            process.kill()
            process.communicate()
        assert all(map(checkpoints.is_whole, checkpoints.find_steps()))
    run(home, "--resume")
    assert read_losses(home) == pytest.approx(uninterrupted, abs=1e-3)


def test_two_processes_have_the_losses_of_one(home: Path) -> None:
    sets = (*SETS, "dropout=0", "max_steps=12")
    run(home, sets=sets)
    alone = read_losses(home)
    run(home, "--processes", "2", sets=sets)
    assert read_losses(home) == pytest.approx(alone, abs=1e-2)
    record = json.loads((home / "data" / "runs" / "small" / "train" / "record.json").read_text())
    assert record["processes"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(home: Path, number: signal.Signals) -> None:
    with start(home) as process:
        wait_for_step(process)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "assistant finetune train small --resume" in err
    step = get_checkpoints(home).find_newest()
    assert step is not None
    assert f"stopped after step {step} of 60" in err


def test_two_processes_stop_together_on_a_signal(home: Path) -> None:
    with start(home, "--processes", "2", start_new_session=True) as process:
        wait_for_step(process)
        for worker in psutil.Process(process.pid).children(recursive=True):
            if "finetune.training" in worker.cmdline() and worker.environ().get("RANK") == "1":
                worker.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert get_checkpoints(home).find_newest() is not None
    run(home, "--resume")


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(home: Path) -> None:
    with start(home) as process:
        wait_for_step(process)
        process.send_signal(signal.SIGINT)
        process.communicate()
    before = get_checkpoints(home).find_newest()

    def allow_little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    err = run(home, "--resume", code=74, preexec_fn=allow_little)
    assert "cannot write" in err
    assert get_checkpoints(home).find_newest() == before
    run(home, "--resume")
