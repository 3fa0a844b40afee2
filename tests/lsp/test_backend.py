"""The generator as jobs find it: warm, cold, foreign, gone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from homes import Home, wait_until

from assistant.errors import ConfigError, ModelError
from assistant.generator import EventStream
from assistant.requests import Loading, Sampling
from lsp.backend import FOREIGN_CONTEXT_TOKENS, ConfiguredBackend, estimate_tokens, fit_sampling

Script = Callable[..., Home]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    monkeypatch.setenv("ASSISTANT_HOME", str(home.path))
    yield home
    shutil.rmtree(home.path)


@pytest.fixture
def script(home: Home) -> Iterator[Script]:
    """Starts a generator that does what a script says."""
    servers: list[subprocess.Popen[bytes]] = []

    def start(**content: object) -> Home:
        file = home.path / "script.json"
        file.write_text(json.dumps({"pieces": ["x = 1\n"], "step_s": 0.0, **content}))
        program = [sys.executable, "-m", "assistant.server", "--scripted", str(file)]
        nothing = subprocess.DEVNULL
        servers.append(subprocess.Popen(program, env=home.environment(), stdout=nothing, stderr=nothing))
        wait_until(home.socket.exists)
        return home

    yield start
    for server in servers:
        server.kill()
        server.wait()


def read(stream: EventStream) -> list[object]:
    return list(stream)


def test_texts_are_counted_in_the_tokens_of_the_generators_model(script: Script) -> None:
    script(context_tokens=3000)
    desk = ConfiguredBackend().open(None, read)
    assert desk.count_tokens("sieben") == 6
    assert desk.context_tokens == 3000
    assert desk.budget_tokens < 3000 - desk.sampling.max_tokens


def test_a_cold_generator_loads_its_model_first_and_says_so(script: Script) -> None:
    script(context_tokens=3000, load_s=0.2)
    events: list[object] = []
    desk = ConfiguredBackend().open(None, lambda stream: events.extend(stream))
    assert desk.context_tokens == 3000
    assert all(isinstance(event, Loading) for event in events[:-1])


def test_a_generator_that_is_gone_leaves_an_estimate(script: Script, home: Home) -> None:
    script()
    desk = ConfiguredBackend().open(None, read)
    home.run("stop")
    assert desk.count_tokens("x" * 300) == 100


def test_a_foreign_server_is_not_asked_to_count(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "http://127.0.0.1:9/v1")
    desk = ConfiguredBackend().open(None, read)
    assert desk.count_tokens("x" * 300) == 100
    assert desk.context_tokens == FOREIGN_CONTEXT_TOKENS


def test_without_a_model_the_error_says_how_to_get_one(home: Home) -> None:
    try:
        with pytest.raises(ModelError) as caught:
            ConfiguredBackend().open(None, read)
        assert "assistant models pull" in caught.value.hint
    finally:
        home.run("stop")


def test_a_configuration_is_read_for_each_job_anew(script: Script) -> None:
    home = script()
    config = home.path / "config.toml"
    config.write_text("[sampling]\nmax_tokens = 'many'\n")
    with pytest.raises(ConfigError, match=r"config\.toml:2"):
        ConfiguredBackend().open(None, read)
    config.write_text("[sampling]\nmax_tokens = 77\n")
    assert ConfiguredBackend().open(None, read).sampling.max_tokens == 77


def test_a_project_may_have_sampling_of_its_own(script: Script, tmp_path: Path) -> None:
    script()
    (tmp_path / ".assistant.toml").write_text("[sampling]\ntemperature = 0.5\n")
    assert ConfiguredBackend().open(tmp_path / "shapes.py", read).sampling.temperature == 0.5


def test_an_answer_leaves_half_of_a_small_context_to_the_prompt() -> None:
    assert fit_sampling(Sampling(max_tokens=1024), 8192).max_tokens == 1024
    assert fit_sampling(Sampling(max_tokens=1024), 512).max_tokens == 256
    assert fit_sampling(Sampling(max_tokens=1024), 0).max_tokens == 1


@pytest.mark.parametrize(("text", "tokens"), [("", 0), ("abc", 1), ("abcd", 2), ("汉字", 2), ("\ud800", 1)])
def test_an_estimate_counts_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens
