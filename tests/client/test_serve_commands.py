from __future__ import annotations

import json
import os
import signal
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from assistant import cli, launch, paths
from assistant.client.calls import Status, find_health, parse_status
from assistant.commands.serve import render_duration, render_status
from assistant.config import Config
from tests.client.conftest import Daemon
from tests.client.stub_server import StubServer, json_reply

STATUS: dict[str, Any] = {
    "protocol": 1,
    "version": "1.2",
    "pid": 4711,
    "started": 1000.0,
    "model": "llama-7b-mine",
    "prompt_format": "python-task",
    "state": "ready",
    "device": "cuda:0",
    "quantization": "nf4",
    "memory_bytes": 5 * 2**30,
    "context_tokens": 4096,
    "slots": 8,
    "active_sequences": 2,
    "waiting": 3,
    "answered": 99,
    "tokens_per_s": 42.25,
    "swap_error": "",
    "transports": ["/run/user/1/assistant/generator.sock"],
    "idle_unload_s": 900.0,
    "idle_exit_s": 0.0,
}


def run(*arguments: str) -> int:
    return cli.main(arguments)


@pytest.fixture
def server_run(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `assistant.server.run.serve` is called with, in place of running it."""
    calls: list[dict[str, Any]] = []
    module = types.ModuleType("assistant.server.run")
    module.serve = lambda config, **options: calls.append({"config": config, **options}) or 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "assistant.server.run", module)
    monkeypatch.setattr("assistant.server.run", module, raising=False)
    return calls


def test_status_of_a_running_generator_is_laid_out(
    ours: StubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    ours.on("GET /v1/status", json_reply(STATUS))
    assert run("status") == 0
    shown = capsys.readouterr()
    for words in (
        "llama-7b-mine (python-task)",
        "cuda:0, nf4, 5.00 GiB",
        "2 of 8 slots, 3 waiting",
        "42.2 tokens/s",
    ):
        assert words in shown.out
    assert shown.err == ""


def test_status_for_programs_is_one_json_object(ours: StubServer, capsys: pytest.CaptureFixture[str]) -> None:
    ours.on("GET /v1/status", json_reply(STATUS))
    assert run("status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {**STATUS, "socket": str(paths.socket_path())}


def test_status_without_a_generator_exits_with_3(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status") == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "no generator is running" in shown.err


def test_status_says_when_questions_go_elsewhere(
    ours: StubServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "http://127.0.0.1:9/v1")
    ours.on("GET /v1/status", json_reply(STATUS))
    assert run("status") == 0
    assert "http://127.0.0.1:9/v1" in capsys.readouterr().err


def test_stop_without_a_generator_is_no_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("stop") == 0
    assert "no generator is running" in capsys.readouterr().err


def test_stop_ends_the_generator(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    launch.ensure_running(Config(), lambda _: None)
    assert run("stop") == 0
    assert "has ended" in capsys.readouterr().err
    assert find_health() is None


def test_serve_says_where_it_listens_and_where_the_token_is(
    home: Path, capsys: pytest.CaptureFixture[str], server_run: list[dict[str, Any]]
) -> None:
    assert run("serve", "--tcp", "127.0.0.1:8080") == 0
    assert server_run == [
        {"config": Config(), "tcp": "127.0.0.1:8080", "allow_remote": False, "foreground": True}
    ]
    shown = capsys.readouterr()
    assert str(paths.socket_path()) in shown.err
    assert "http://127.0.0.1:8080/v1" in shown.err
    assert str(paths.token_path()) in shown.err
    assert shown.out == ""


def test_an_address_that_others_reach_is_refused_before_anything_is_said(
    home: Path, capsys: pytest.CaptureFixture[str], server_run: list[dict[str, Any]]
) -> None:
    assert run("serve", "--tcp", "0.0.0.0:8080") == 2
    assert server_run == []
    shown = capsys.readouterr()
    assert "0.0.0.0:8080" in shown.err
    assert "socket:" not in shown.err


def test_serve_next_to_a_running_generator_exits_with_3(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], server_run: list[dict[str, Any]]
) -> None:
    launch.ensure_running(Config(), lambda _: None)
    assert run("serve") == 3
    assert server_run == []
    shown = capsys.readouterr()
    assert str(daemon.starts()[0]) in shown.err
    assert "assistant stop" in shown.err


def test_status_of_a_generator_that_hangs_names_the_way_out(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    launch.ensure_running(Config(), lambda _: None)
    os.kill(daemon.starts()[0], signal.SIGSTOP)
    assert run("status") == 3
    shown = capsys.readouterr()
    assert "does not answer" in shown.err
    assert "assistant stop" in shown.err


def test_a_status_of_another_version_is_read_as_far_as_it_is_known() -> None:
    status = parse_status(
        {"model": "m", "slots": "many", "idle_exit_s": 5, "news": [1], "tokens_per_s": None}
    )
    assert status == Status(model="m", idle_exit_s=5.0)


def test_a_model_that_could_not_be_loaded_is_shown_with_the_reason(
    ours: StubServer, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = {"status": "failed", "message": "a file is damaged", "protocol": 1, "version": "1.2"}
    ours.on("GET /health", json_reply(failed, status=503))
    ours.on("GET /v1/status", json_reply({**STATUS, "state": "failed", "device": None, "slots": None}))
    assert run("status") == 0
    assert "failed: a file is damaged" in capsys.readouterr().out


def test_a_model_that_could_not_be_swapped_in_is_shown() -> None:
    assert "no room" in render_status(Status(swap_error="no room"), socket="s", now=0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (3601, "1 h"), (90_000, "1 d 1 h")],
)
def test_durations_are_written_in_two_units(seconds: float, text: str) -> None:
    assert render_duration(seconds) == text
