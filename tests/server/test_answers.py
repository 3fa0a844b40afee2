from __future__ import annotations

from collections.abc import Callable

import pytest

from assistant.engine.interface import Ended, Job, Piece
from assistant.engine.scripted import ScriptedModel
from assistant.errors import GeneratorError, OutOfMemoryError
from assistant.server import answers
from tests.server.harness import Live

USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 2,
    "total_tokens": 7,
    "prompt_tokens_details": {"cached_tokens": 0},
}


class FailingModel(ScriptedModel):
    """Says one piece and fails, unless it is the one token of the trial after loading."""

    error: GeneratorError | OutOfMemoryError = GeneratorError("broken inside")

    def submit(self, job: Job) -> None:
        if job.sampling.max_tokens == 1:
            super().submit(job)
            return
        job.sink(Piece(index=0, text="x = ", tokens=1))
        job.sink(Ended(error=self.error))


@pytest.fixture
def failing(make_live: Callable[..., Live]) -> Live:
    live = make_live()
    live.loads.build = FailingModel
    return live.start()


def test_chat_answer_has_openais_shape(live: Live) -> None:
    response = live.chat(seed=7)
    content = response.json()
    assert content["id"].startswith("chatcmpl-")
    assert response.headers["x-request-id"] == content["id"]
    assert (content["object"], content["model"], content["seed"]) == ("chat.completion", "old", 7)
    assert content["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "def f():\n    return 1\n", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert content["usage"] == USAGE
    assert set(content["timings"]) == {"queue_s", "prefill_s", "decode_s", "tokens_per_s"}
    assert content["syntax_guard"] == {"taken_back": 0, "gave_up": 0}


def test_stream_says_the_same_in_chunks(live: Live) -> None:
    *chunks, done = live.stream(seed=7)
    assert done == "[DONE]"
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("content", "") for delta in deltas) == "def f():\n    return 1\n"
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert chunks[-1]["seed"] == 7


def test_stream_counts_tokens_in_a_last_chunk_when_asked(live: Live) -> None:
    *chunks, last, done = live.stream(stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert last["choices"] == []
    assert last["usage"] == USAGE
    assert "timings" in last
    assert all(chunk["usage"] is None for chunk in chunks)


def test_completion_takes_a_rendered_prompt(live: Live) -> None:
    content = live.call("POST", "/v1/completions", {"prompt": "### Task"}).json()
    assert content["id"].startswith("cmpl-")
    assert content["object"] == "text_completion"
    assert content["choices"][0]["text"] == "def f():\n    return 1\n"
    assert content["usage"]["prompt_tokens"] == len("### Task")


def test_each_of_n_answers_has_its_choice(live: Live) -> None:
    choices = live.chat(n=3).json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2]
    assert {choice["message"]["content"] for choice in choices} == {"def f():\n    return 1\n"}


def test_each_of_n_streamed_answers_ends_once(live: Live) -> None:
    *chunks, _ = live.stream(n=3)
    ended = [c["choices"][0]["index"] for c in chunks if c["choices"][0]["finish_reason"]]
    assert sorted(ended) == [0, 1, 2]


def test_seed_is_drawn_where_none_is_given(live: Live) -> None:
    seeds = {live.chat().json()["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_max_tokens_cuts_an_answer(live: Live) -> None:
    choice = live.chat(max_tokens=1).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == "def f():\n"


def test_max_tokens_beyond_the_context_is_clipped_to_it(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = lambda name: ScriptedModel(name, ["a"] * 50, context_tokens=40)
    live.start()
    choice = live.chat("x" * 30, max_tokens=1000).json()["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "a" * 10)


@pytest.mark.parametrize("length", [4096, 5000])
def test_prompt_longer_than_the_context_is_refused_with_both_numbers(live: Live, length: int) -> None:
    response = live.chat("x" * length)
    error = response.json()["error"]
    assert response.status_code == 400
    assert error["code"] == "context_length_exceeded"
    assert (error["prompt_tokens"], error["context_tokens"]) == (length, 4096)
    assert str(length) in error["message"]
    assert "4096" in error["message"]


def test_empty_prompt_is_refused(live: Live) -> None:
    response = live.call("POST", "/v1/completions", {"prompt": ""})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")


def test_refused_request_leaves_no_lease(live: Live) -> None:
    live.chat("x" * 5000)
    assert live.status()["waiting"] == 0


def test_failure_in_the_middle_of_a_stream_is_an_event_and_an_end(failing: Live) -> None:
    *_, failure, done = failing.stream()
    assert failure["error"]["code"] == "engine_error"
    assert failure["error"]["message"] == "broken inside"
    assert done == "[DONE]"


def test_failure_of_a_whole_answer_is_a_status(failing: Live) -> None:
    response = failing.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (500, "engine_error")


def test_out_of_memory_is_a_503_and_the_server_goes_on(
    failing: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FailingModel, "error", OutOfMemoryError("no room for this request"))
    response = failing.chat()
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (503, "out_of_memory")
    assert "max_tokens" in error["hint"]
    assert failing.health()["status"] == "ready"


def test_tokenizer_that_crashes_is_a_bug_and_holds_nothing(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: object) -> list[int]:
        raise RuntimeError("inside")

    monkeypatch.setattr(live.loads.last, "encode_turns", crash)
    response = live.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal_error")
    assert live.status()["waiting"] == 0


def test_status_says_what_the_model_is_and_how_fast(live: Live) -> None:
    live.answer()
    status = live.status()
    assert status["answered"] == 1
    assert (status["model"], status["state"], status["prompt_format"]) == ("old", "ready", "chat")
    assert (status["slots"], status["context_tokens"], status["active_sequences"]) == (4, 4096, 0)
    assert status["tokens_per_s"] > 0
    assert status["syntax_guard"] == {"taken_back": 0, "gave_up": 0}
    assert status["transports"] == [f"unix:{live.socket_file}"]


def test_models_are_listed_with_the_active_one_first(live: Live) -> None:
    live.catalog.add("another")
    assert [model["id"] for model in live.call("GET", "/v1/models").json()["data"]] == ["old", "another"]


def test_stream_is_never_silent_for_long(
    make_live: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "PING_S", 0.01)
    live = make_live()
    live.loads.build = lambda name: ScriptedModel(name, ["x"], step_s=0.1)
    live.start()
    body = {"prompt": "x", "stream": True}
    with live.client() as client, client.stream("POST", "/v1/completions", json=body) as response:
        lines = list(response.iter_lines())
    assert ": ping" in lines
    assert lines[-2:] == ["data: [DONE]", ""]
