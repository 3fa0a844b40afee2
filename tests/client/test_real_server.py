"""The client with the real server, which serves a scripted model."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assistant import launch, paths
from assistant.answers import Answer, collect_answer
from assistant.client import create_generator
from assistant.client.calls import fetch_models, fetch_status, find_health
from assistant.client.stopping import Stopped, find_server_pid, stop_running
from assistant.config import Config
from assistant.errors import ContextOverflowError, GeneratorLostError, RequestRefusedError, UnknownModelError
from assistant.requests import (
    Done,
    FinishReason,
    Loading,
    Request,
    Sampling,
    Started,
    Token,
    Usage,
    build_task_request,
)

PIECES = ["def f():\n", "    return ", "'é漢😀'\n"]
CONFIG = Config()
REQUEST = build_task_request("task", "input")
Script = Callable[..., None]


@pytest.fixture
def script(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """Decides what the server that is started on demand says."""
    file = home / "script.json"

    def write(**fields: object) -> None:
        content = {
            "model": "demo",
            "pieces": PIECES,
            "step_s": 0.0,
            "slots": 2,
            "context_tokens": 400,
            **fields,
        }
        file.write_text(json.dumps(content), encoding="utf-8")

    write()
    arguments = (*launch.SERVER_ARGUMENTS, "--scripted", str(file))
    monkeypatch.setattr(launch, "SERVER_ARGUMENTS", arguments)
    yield write
    stop_running(terminate_after_s=1.0, kill_after_s=2.0)


def ask(request: Request = REQUEST) -> Answer:
    return collect_answer(create_generator(CONFIG).stream(request))


def test_a_question_starts_loads_and_answers(script: Script) -> None:
    script(load_s=0.5)
    events = list(create_generator(CONFIG).stream(REQUEST))
    stages = [event.stage for event in events if isinstance(event, Loading)]
    assert stages[0] == "starting the generator"
    assert "loading weights" in stages
    assert "".join(event.text for event in events if isinstance(event, Token)) == "".join(PIECES)
    (started,) = [event for event in events if isinstance(event, Started)]
    assert started.model == "demo"
    done = events[-1]
    assert isinstance(done, Done)
    assert done.usage == Usage(prompt_tokens=len("taskinput"), completion_tokens=3)
    assert done.seed is not None


def test_sampling_reaches_the_model(script: Script) -> None:
    answer = ask(build_task_request("t", sampling=Sampling(n=2, max_tokens=2, seed=7, stop=("#",))))
    assert answer.texts == ("def f():\n    return ",) * 2
    assert answer.finish_reasons == (FinishReason.LENGTH,) * 2
    assert answer.seed == 7


def test_refusals_of_the_real_server_are_understood(script: Script) -> None:
    too_long = ask(build_task_request("x" * 500)).error
    unknown = ask(build_task_request("x", model="none")).error
    nul = ask(build_task_request("a\0b")).error
    assert isinstance(too_long, ContextOverflowError)
    assert "500" in too_long.message
    assert "400" in too_long.message
    assert isinstance(unknown, UnknownModelError)
    assert isinstance(nul, RequestRefusedError)


def test_more_questions_than_slots_are_all_answered(script: Script) -> None:
    answers: list[Answer] = []
    threads = [threading.Thread(target=lambda: answers.append(ask())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(answer.text, answer.error) for answer in answers] == [("".join(PIECES), None)] * 8


def test_status_models_and_health_are_those_of_the_running_server(script: Script) -> None:
    ask()
    status = fetch_status()
    assert (status.model, status.state, status.answered) == ("demo", "ready", 1)
    assert status.pid == find_server_pid()
    assert fetch_models(CONFIG) == ["demo"]


def test_a_closed_stream_gives_its_slot_back(script: Script) -> None:
    script(pieces=["x"] * 300, step_s=0.05)
    stream = create_generator(CONFIG).stream(REQUEST)
    while not isinstance(next(stream), Token):
        pass
    assert fetch_status().active_sequences == 1
    stream.close()
    for _ in range(400):  # a turn of the server's loop each
        if not fetch_status().active_sequences:
            return
    pytest.fail("the slot is still taken")


def test_a_stop_in_the_middle_of_an_answer_keeps_its_text(script: Script) -> None:
    script(pieces=["x"] * 300, step_s=0.05)
    stream = create_generator(CONFIG).stream(REQUEST)
    seen: list[object] = []
    while not any(isinstance(event, Token) for event in seen):
        seen.append(next(stream))
    assert stop_running() is Stopped.ASKED
    rest = list(stream)
    assert isinstance(rest[-1], Done)
    assert rest[-1].finish_reasons == (FinishReason.CANCELLED,)
    assert find_health() is None


def test_a_crash_in_the_middle_of_an_answer_is_a_loss_and_the_next_question_starts_anew(
    script: Script,
) -> None:
    script(pieces=["x"] * 300, step_s=0.05)
    stream = create_generator(CONFIG).stream(REQUEST)
    while not isinstance(next(stream), Token):
        pass
    pid = find_server_pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert isinstance(collect_answer(stream).error, GeneratorLostError)
    script()
    assert ask().text == "".join(PIECES)
    assert find_server_pid() != pid


def test_the_token_of_the_running_server_is_needed(script: Script) -> None:
    ask()
    paths.token_path().write_text("wrong", encoding="ascii")
    error = ask().error
    assert error is not None
    assert "token" in error.message
    assert "assistant stop" in error.hint
