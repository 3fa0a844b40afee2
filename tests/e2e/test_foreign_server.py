from __future__ import annotations

import ast
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import MODEL, Home, wait_until

pytestmark = [pytest.mark.model, pytest.mark.timeout(400)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def transformers_serve(model_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`transformers serve` with the embedded model; gives the address of its API."""
    port = free_port()
    model = model_home.path / "data" / "models" / MODEL
    program = Path(sys.executable).with_name("transformers")
    log = (tmp_path_factory.mktemp("serve") / "log").open("wb")
    process = subprocess.Popen(
        [program, "serve", str(model), "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        env=model_home.environment(HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path_factory.mktemp("hf"))),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )

    def is_up() -> bool:
        assert process.poll() is None, Path(log.name).read_text(encoding="utf-8")[-2000:]
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False

    wait_until(is_up, seconds=240)
    yield f"http://127.0.0.1:{port}/v1"
    process.kill()
    process.wait()
    log.close()


def test_ask_works_unchanged_against_transformers_serve(home: Home, transformers_serve: str) -> None:
    environment = {
        "ASSISTANT_GENERATOR_URL": transformers_serve,
        "ASSISTANT_GENERATOR_MODEL": str(home.path / "data" / "models" / MODEL),
    }
    done = home.run("ask", "Write a function that adds two numbers", "--max-tokens", "60", env=environment)
    assert done.returncode == 0, done.stderr
    assert ast.parse(done.stdout).body
    assert home.servers() == []


def test_the_foreign_answer_is_told_whole(home: Home, transformers_serve: str) -> None:
    environment = {
        "ASSISTANT_GENERATOR_URL": transformers_serve,
        "ASSISTANT_GENERATOR_MODEL": str(home.path / "data" / "models" / MODEL),
    }
    done = home.run("ask", "Write a function that adds two numbers", "--json", env=environment)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["tokens"]["completion"] > 0
    assert "def " in answer["code"]
