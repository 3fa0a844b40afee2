from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable

import pytest

from assistant.engine.interface import Job
from assistant.engine.scripted import ScriptedModel
from assistant.server import channel, connections
from tests.server.harness import Live, wait_until

ENDLESS = 10**6


class RecordingModel(ScriptedModel):
    """Remembers its jobs."""

    def __init__(self, name: str, pieces: list[str], *, step_s: float, slots: int = 2) -> None:
        self.jobs: list[Job] = []
        super().__init__(name, pieces, step_s=step_s, slots=slots, context_tokens=ENDLESS, prefill_chunk=10)

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        super().submit(job)


@pytest.fixture
def endless(make_live: Callable[..., Live]) -> Live:
    """Two slots, one request may wait, and answers that do not end by themselves."""
    live = make_live(max_waiting=1)
    live.loads.build = lambda name: RecordingModel(name, ["x"] * 120_000, step_s=0.002)
    return live.start()


def is_idle(live: Live) -> bool:
    model = live.loads.last
    steps = model.steps
    return not live.status()["waiting"] and not model.active_sequences() and model.steps == steps


def assert_idle(live: Live) -> None:
    wait_until(lambda: is_idle(live), "nothing runs and no step is made")


def send_chat(live: Live, *, is_streamed: bool, prompt: str = "hello") -> socket.socket:
    stream = "true" if is_streamed else "false"
    messages = f'[{{"role":"user","content":"{prompt}"}}]'
    body = f'{{"messages":{messages},"stream":{stream},"max_tokens":100000}}'
    connection = live.connect()
    headers = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    connection.sendall(live.head("POST", "/v1/chat/completions", *headers) + body.encode())
    return connection


def test_client_that_leaves_a_stream_frees_its_slot(endless: Live) -> None:
    with endless.open_stream(max_tokens=100_000) as stream:
        stream.next_text()
        assert endless.loads.last.active_sequences() == 1
    assert_idle(endless)


def test_client_that_leaves_while_waiting_for_a_whole_answer_frees_its_slot(endless: Live) -> None:
    connection = send_chat(endless, is_streamed=False)
    wait_until(lambda: endless.loads.last.active_sequences() == 1)
    connection.close()
    assert_idle(endless)


@pytest.mark.parametrize("is_streamed", [True, False])
def test_client_that_leaves_during_prefill_ends_it(endless: Live, is_streamed: bool) -> None:
    connection = send_chat(endless, is_streamed=is_streamed, prompt="x" * 100_000)
    wait_until(lambda: endless.loads.last.active_sequences() == 1)
    connection.close()
    assert_idle(endless)
    assert endless.loads.last.steps < 100_000 // 10


def test_client_that_leaves_the_queue_is_never_run(endless: Live) -> None:
    model = endless.loads.last
    assert isinstance(model, RecordingModel)
    running = [send_chat(endless, is_streamed=True) for _ in range(2)]
    wait_until(lambda: model.active_sequences() == 2)
    waiting = send_chat(endless, is_streamed=False)
    wait_until(lambda: endless.status()["waiting"] == 1)
    waiting.close()
    wait_until(lambda: endless.status()["waiting"] == 0)
    assert model.jobs[-1].cancelled.is_set()
    assert model.active_sequences() == 2
    for connection in running:
        connection.close()
    assert_idle(endless)


def leave_at_random_moments(live: Live, rounds: int) -> None:
    chance = random.Random(20)
    for _ in range(rounds):
        prompt = "x" * chance.choice([1, 200, 2000])
        connection = send_chat(live, is_streamed=chance.random() < 0.5, prompt=prompt)
        time.sleep(chance.random() * 0.03)  # the moment is the point of the test, not a synchronisation
        connection.close()
        assert_idle(live)
    assert live.answer(max_tokens=3) == "xxx"


def test_clients_that_leave_at_any_moment_leave_nothing_behind(endless: Live) -> None:
    leave_at_random_moments(endless, 20)


@pytest.mark.slow
def test_many_clients_that_leave_at_any_moment_leave_nothing_behind(endless: Live) -> None:
    leave_at_random_moments(endless, 100)


def test_cancelled_stream_ends_as_cancelled(endless: Live) -> None:
    with endless.open_stream(max_tokens=100_000) as stream:
        stream.next_text()
        request_id = stream.response.headers["x-request-id"]
        assert endless.call("DELETE", f"/v1/requests/{request_id}").json() == {"cancelled": True}
        *_, last, done = list(stream)
    assert last["choices"][0]["finish_reason"] == "cancelled"
    assert done == "[DONE]"
    assert_idle(endless)


def test_cancelling_what_does_not_run_is_a_404(live: Live) -> None:
    response = live.call("DELETE", "/v1/requests/chatcmpl-none")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "request_not_found")


def test_ended_request_cannot_be_cancelled(live: Live) -> None:
    request_id = live.chat().json()["id"]
    assert live.call("DELETE", f"/v1/requests/{request_id}").status_code == 404


def test_full_queue_is_a_429_at_once(endless: Live) -> None:
    connections_held = [send_chat(endless, is_streamed=True) for _ in range(3)]
    wait_until(lambda: endless.status()["waiting"] == 1)
    response = endless.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (429, "queue_full")
    assert response.headers["retry-after"] == "1"
    for connection in connections_held:
        connection.close()
    assert_idle(endless)
    assert endless.answer(max_tokens=1) == "x"


def test_short_answer_does_not_wait_for_a_long_one(endless: Live) -> None:
    with endless.open_stream(max_tokens=100_000) as stream:
        stream.next_text()
        assert endless.answer(max_tokens=2) == "xx"
        stream.next_text()


def test_reader_that_does_not_read_is_cut_off(endless: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_TIMEOUT_S", 0.2)
    endless.loads.last._step_s = 0.0
    with send_chat(endless, is_streamed=True):
        wait_until(lambda: endless.status()["answered"] == 1, "the engine is done with it")
        assert endless.loads.last.steps < 100_000
        assert_idle(endless)


def test_reader_whose_queue_stays_full_is_given_up(endless: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "FULL_TIMEOUT_S", 0.2)
    endless.loads.last._step_s = 0.0
    with send_chat(endless, is_streamed=True):
        wait_until(lambda: endless.status()["answered"] == 1, "the engine is done with it")
        assert endless.loads.last.steps < 100_000
        assert_idle(endless)


def test_other_clients_are_answered_while_one_does_not_read(endless: Live) -> None:
    endless.loads.last._step_s = 0.0
    connection = send_chat(endless, is_streamed=True)
    wait_until(lambda: endless.loads.last.active_sequences() == 1)
    assert endless.answer(max_tokens=2) == "xx"
    connection.close()


def test_sixteen_clients_at_once_are_all_answered_or_told_to_wait(endless: Live) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(endless.chat(max_tokens=20).status_code))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) <= {200, 429}
    assert 200 in statuses
    assert_idle(endless)
