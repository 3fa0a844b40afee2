from __future__ import annotations

import json
import signal
from pathlib import Path

import psutil
import pytest
from homes import Home, wait_until

pytestmark = [pytest.mark.model, pytest.mark.slow]


def test_the_embedded_model_is_measured(pulled_home: Home, tmp_path: Path) -> None:
    done = pulled_home.run(
        "bench", "--rounds", "1", "--tokens", "8", "--json", "--plot", str(tmp_path / "speed.svg")
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert list(found["kinds"]) == ["write", "edit", "chat"]
    assert all(one["tokens_per_s"] > 0 < one["first_token_s"] for one in found["kinds"].values())
    assert all(one["warm_first_token_s"] < one["first_token_s"] for one in list(found["kinds"].values())[1:])
    assert found["model_bytes"] > found["token_bytes"] > 50_000_000
    assert found["bandwidth"] > 1e9
    assert (tmp_path / "speed.svg").stat().st_size > 1000


def test_ctrl_c_ends_the_measuring_process(pulled_home: Home) -> None:
    process = pulled_home.start("bench")
    command = psutil.Process(process.pid)
    wait_until(lambda: any("assistant.engine.speed" in child.cmdline() for child in command.children()))
    children = command.children()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert [child for child in children if child.is_running() and child.status() != "zombie"] == []
