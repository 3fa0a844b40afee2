from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from homes import MODEL, Home, wait_until

SECOND = "second-model"

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def two_models(model_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home with the embedded model a second time, under another name."""
    source = model_home.path / "data" / "models" / MODEL
    copy = tmp_path_factory.mktemp("copy") / "model"
    shutil.copytree(source, copy)
    (copy / "manifest.json").unlink()
    done = model_home.run(
        "models", "pull", str(copy), "--name", SECOND, "--prompt-format", "chat", "--no-use"
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(copy)
    return model_home


@pytest.fixture
def swapping(two_models: Home, home: Home) -> Iterator[Home]:
    assert home.run("models", "use", MODEL).returncode == 0
    yield home
    home.kill_servers()
    assert home.run("models", "use", MODEL).returncode == 0


def status(home: Home) -> dict[str, Any]:
    return json.loads(home.run("status", "--json").stdout)


def ask_json(home: Home, *flags: str) -> dict[str, Any]:
    done = home.run("ask", "Print one", "--json", "--max-tokens", "10", *flags)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_running_answer_ends_on_the_old_model_and_the_next_comes_from_the_new(swapping: Home) -> None:
    assert ask_json(swapping)["model"] == MODEL
    running = swapping.start("ask", "Write a long story about a parser", "--json", "--max-tokens", "900")
    wait_until(lambda: status(swapping)["active_sequences"] == 1)
    assert swapping.run("models", "use", SECOND).returncode == 0
    wait_until(lambda: status(swapping)["model"] == SECOND)
    assert ask_json(swapping)["model"] == SECOND
    out, err = running.communicate(timeout=200)
    assert running.returncode == 0, err
    assert json.loads(out)["model"] == MODEL


def test_a_question_may_name_another_model(swapping: Home) -> None:
    assert ask_json(swapping, "-m", SECOND)["model"] == SECOND
    assert ask_json(swapping)["model"] == MODEL


def test_a_broken_new_model_leaves_the_old_one_in_service(swapping: Home) -> None:
    assert ask_json(swapping)["model"] == MODEL
    store = swapping.path / "data" / "models"
    weights = store / SECOND / "model.safetensors"
    original = weights.read_bytes()
    pointer = json.loads((store / "active.json").read_text(encoding="utf-8"))
    broken = bytearray(original)
    broken[len(broken) // 2] ^= 1
    try:
        weights.chmod(0o600)
        weights.write_bytes(broken)
        refused = swapping.run("models", "use", SECOND)
        assert refused.returncode == 3
        assert "model.safetensors" in refused.stderr
        # Somebody who goes past `use` does no better: the generator checks for itself.
        (store / "active.json").write_text(json.dumps({**pointer, "active": SECOND}), encoding="utf-8")
        wait_until(lambda: bool(status(swapping)["swap_error"]))
        assert ask_json(swapping)["model"] == MODEL
    finally:
        weights.write_bytes(original)
        (store / "active.json").write_text(json.dumps(pointer), encoding="utf-8")


def kill_in_the_middle_of_swaps(home: Home, rounds: int) -> None:
    chance = random.Random(20)
    store = home.path / "data" / "models"
    for number in range(rounds):
        assert ask_json(home)["model"] in (MODEL, SECOND)
        swap = home.start("models", "use", (SECOND, MODEL)[number % 2], stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0, 1.5))
        swap.send_signal(signal.SIGKILL)
        for server in home.servers():
            os.kill(server.pid, signal.SIGKILL)
        swap.communicate(timeout=60)
        wait_until(lambda: not home.servers())
        active = json.loads((store / "active.json").read_text(encoding="utf-8"))["active"]
        assert active in (MODEL, SECOND)
        assert home.run("models", "path").stdout.strip() == str(Path(store / active))
    assert ask_json(home)["model"] in (MODEL, SECOND)


def test_kills_in_the_middle_of_a_swap_leave_a_readable_active_model(swapping: Home) -> None:
    kill_in_the_middle_of_swaps(swapping, 2)


@pytest.mark.slow
def test_twenty_kills_in_the_middle_of_swaps(swapping: Home) -> None:
    kill_in_the_middle_of_swaps(swapping, 20)
