from __future__ import annotations

import gc
import threading
from pathlib import Path

import pytest

from assistant import launch, paths
from assistant.answers import Answer, collect_answer
from assistant.client import create_generator, exchange
from assistant.config import Config, GeneratorSettings
from assistant.errors import (
    AssistantError,
    ContextOverflowError,
    GeneratorBusyError,
    GeneratorError,
    GeneratorLostError,
    ModelError,
    OutOfMemoryError,
    RequestRefusedError,
    UnknownModelError,
)
from assistant.requests import (
    Done,
    Failed,
    FinishReason,
    Loading,
    Request,
    Role,
    Sampling,
    Started,
    Token,
    Turn,
    Usage,
    build_task_request,
)
from tests.client.stub_server import (
    Reply,
    StubServer,
    answer_reply,
    delta,
    error_reply,
    sse,
    stream_reply,
)

CHAT = "POST /v1/chat/completions"
CONFIG = Config()
REQUEST = build_task_request("sort a list")
LOADING = {"stage": "reading weights", "fraction": 0.25}


def ask(request: Request = REQUEST, config: Config = CONFIG) -> Answer:
    return collect_answer(create_generator(config).stream(request))


def test_an_answer_arrives_as_started_tokens_done(ours: StubServer) -> None:
    timings = {"queue_s": 0, "prefill_s": 0.1, "decode_s": 1.0, "tokens_per_s": 12.5}
    ours.on(CHAT, answer_reply("a", "b", seed=42, timings=timings))

    events = list(create_generator(CONFIG).stream(REQUEST))

    assert events[:3] == [Started(request_id="req-1", model="stub"), Token(text="a"), Token(text="b")]
    done = events[-1]
    assert isinstance(done, Done)
    assert done.finish_reasons == (FinishReason.STOP,)
    assert (done.usage, done.seed, done.tokens_per_s) == (
        Usage(prompt_tokens=7, completion_tokens=2),
        42,
        12.5,
    )
    assert len(events) == 4


def test_a_task_alone_is_sent_as_plain_text_and_one_with_input_as_two_parts(ours: StubServer) -> None:
    ours.on(CHAT, answer_reply("x"))
    turns = (
        Turn(role=Role.USER, text="first"),
        Turn(role=Role.ASSISTANT, text="reply"),
        Turn(role=Role.USER, text="task", input="data"),
    )

    ask(Request(turns=turns))

    assert ours.requests[-1].json["messages"] == [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "reply"},
        {"role": "user", "content": [{"type": "text", "text": "task"}, {"type": "text", "text": "data"}]},
    ]


def test_the_active_model_is_asked_for_as_default(ours: StubServer) -> None:
    ours.on(CHAT, answer_reply("x"))
    ask()
    ask(build_task_request("t", model="mine"))
    assert [request.json["model"] for request in ours.received("/v1/chat/completions")] == ["default", "mine"]


def test_only_what_is_asked_for_is_in_the_body(ours: StubServer) -> None:
    ours.on(CHAT, answer_reply("x"))
    ask()
    ask(build_task_request("t", sampling=Sampling(seed=0, stop=("#",), n=2)))
    plain, full = (request.json for request in ours.received("/v1/chat/completions"))
    assert set(full) - set(plain) == {"seed", "stop", "n"}
    assert plain["stream_options"] == {"include_usage": True}


def test_every_request_carries_the_token_of_the_file(ours: StubServer) -> None:
    ours.on(CHAT, answer_reply("x"))
    ask()
    assert ours.requests[-1].headers["authorization"] == "Bearer secret-1"


def test_half_a_character_in_a_task_is_sent_as_a_question_mark(ours: StubServer) -> None:
    ours.on(CHAT, answer_reply("x"))
    answer = ask(build_task_request("a\udcffb"))
    assert answer.error is None
    assert ours.requests[-1].json["messages"][0]["content"] == "a?b"


def test_a_token_that_changed_with_a_restart_is_read_again(
    ours: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.on(CHAT, error_reply(401, "unauthorized"), answer_reply("x"))
    tokens = iter(["old", "old", "new"])  # one for the health route, one for each attempt
    monkeypatch.setattr("assistant.client.connection.read_own_token", lambda: next(tokens))

    assert ask().text == "x"
    sent = [request.headers["authorization"] for request in ours.received("/v1/chat/completions")]
    assert sent == ["Bearer old", "Bearer new"]


def test_a_token_that_is_refused_twice_is_an_error(ours: StubServer) -> None:
    ours.on(CHAT, error_reply(401, "unauthorized"))
    answer = ask()
    assert isinstance(answer.error, GeneratorError)
    assert "token" in answer.error.message
    assert len(ours.received("/v1/chat/completions")) == 2


def test_loading_is_reported_with_its_progress_until_the_answer_begins(ours: StubServer) -> None:
    loading = error_reply(503, "model_loading", **LOADING)
    further = error_reply(503, "model_loading", stage="reading weights", fraction=0.5)
    ours.on(CHAT, loading, loading, further, answer_reply("x"))

    events = list(create_generator(CONFIG).stream(REQUEST))

    assert events[:2] == [
        Loading(stage="reading weights", fraction=0.25),
        Loading(stage="reading weights", fraction=0.5),
    ]
    assert isinstance(events[-1], Done)


def test_a_full_queue_is_waited_for(ours: StubServer) -> None:
    ours.on(CHAT, error_reply(429, "queue_full"), answer_reply("x"))
    events = list(create_generator(CONFIG).stream(REQUEST))
    assert events[0] == Loading(stage="waiting for a free slot")
    assert isinstance(events[-1], Done)


def test_a_queue_that_stays_full_is_an_error_when_patience_ends(
    ours: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BUSY_PATIENCE_S", 0.0)
    ours.on(CHAT, error_reply(429, "queue_full", "17 requests wait"))
    answer = ask()
    assert isinstance(answer.error, GeneratorBusyError)
    assert "17 requests wait" in answer.error.message


def test_a_generator_that_is_ending_is_asked_again_when_its_successor_is_there(ours: StubServer) -> None:
    ours.on(CHAT, error_reply(503, "stopping"), answer_reply("x"))
    events = list(create_generator(CONFIG).stream(REQUEST))
    assert events[0] == Loading(stage="waiting for the generator to restart")
    assert isinstance(events[-1], Done)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "model_failed", ModelError),
        (503, "no_model", ModelError),
        (503, "out_of_memory", OutOfMemoryError),
        (400, "invalid_request", RequestRefusedError),
        (413, "body_too_large", RequestRefusedError),
        (404, "model_not_found", UnknownModelError),
        (500, "engine_error", GeneratorError),
    ],
)
def test_a_refusal_becomes_the_error_it_means(
    ours: StubServer, status: int, code: str, expected: type[AssistantError]
) -> None:
    ours.on(CHAT, error_reply(status, code, "this is why", hint="do that"))
    answer = ask()
    assert answer.error is not None
    assert type(answer.error) is expected
    assert "this is why" in answer.error.message
    assert answer.error.hint == "do that"


def test_a_prompt_that_is_too_long_is_refused_with_both_numbers(ours: StubServer) -> None:
    ours.on(CHAT, error_reply(400, "context_length_exceeded", prompt_tokens=9000, context_tokens=8192))
    answer = ask()
    assert isinstance(answer.error, ContextOverflowError)
    assert "9000" in answer.error.message
    assert "8192" in answer.error.message


def test_an_unknown_model_is_refused_with_the_nearest_names(ours: StubServer) -> None:
    ours.on(CHAT, error_reply(404, "model_not_found", nearest=["llama-7b", "llama-7b-mine"]))
    answer = ask(build_task_request("t", model="lama"))
    assert isinstance(answer.error, UnknownModelError)
    assert answer.error.hint == "did you mean llama-7b or llama-7b-mine?"


def test_text_that_came_before_the_generator_died_is_kept(ours: StubServer) -> None:
    ours.on(CHAT, stream_reply(sse(delta("half ")), sse(delta("an answ")), is_whole=False))
    answer = ask()
    assert isinstance(answer.error, GeneratorLostError)
    assert answer.text == "half an answ"
    assert len(ours.received("/v1/chat/completions")) == 1


def test_an_answer_that_just_stops_is_not_taken_for_a_whole_one(ours: StubServer) -> None:
    ours.on(CHAT, stream_reply(sse(delta("half"))))
    assert isinstance(ask().error, GeneratorLostError)


def test_an_error_in_the_middle_of_an_answer_ends_it_with_that_error(ours: StubServer) -> None:
    error = {"error": {"message": "no room", "code": "out_of_memory", "type": "x", "param": None}}
    ours.on(CHAT, stream_reply(sse(delta("half")), sse(error, "[DONE]")))
    answer = ask()
    assert isinstance(answer.error, OutOfMemoryError)
    assert answer.text == "half"


def test_a_generator_that_ended_before_it_answered_is_asked_again(ours: StubServer) -> None:
    ours.on(CHAT, Reply(status=0), answer_reply("x"))
    assert ask().text == "x"


def test_a_generator_that_ends_each_time_is_given_up(ours: StubServer) -> None:
    ours.on(CHAT, Reply(status=0))
    assert isinstance(ask().error, GeneratorLostError)
    assert len(ours.received("/v1/chat/completions")) == exchange.MAX_RESTARTS + 1


def test_several_answers_are_told_apart(ours: StubServer) -> None:
    ours.on(
        CHAT,
        stream_reply(
            sse(delta("a", index=0), delta("b", index=1), delta("c", index=0)),
            sse(delta(index=1, finish_reason="length"), delta(index=0, finish_reason="stop"), "[DONE]"),
        ),
    )
    answer = ask(build_task_request("t", sampling=Sampling(n=2)))
    assert answer.texts == ("ac", "b")
    assert answer.finish_reasons == (FinishReason.STOP, FinishReason.LENGTH)


def test_close_ends_a_waiting_next_and_the_server_sees_its_client_gone(ours: StubServer) -> None:
    gone = threading.Event()
    ours.on(CHAT, stream_reply(sse(delta("a")), is_closed_by=gone))
    stream = create_generator(CONFIG).stream(REQUEST)
    assert isinstance(next(stream), Started)
    assert next(stream) == Token(text="a")
    rest: list[object] = []
    reader = threading.Thread(target=lambda: rest.extend(stream))
    reader.start()

    stream.close()
    stream.close()

    reader.join(10)
    assert not reader.is_alive()
    assert rest == []
    assert gone.wait(10)


def test_close_before_the_first_byte_of_an_answer_reaches_the_server(ours: StubServer) -> None:
    gone, asked = threading.Event(), threading.Event()
    ours.on(CHAT, stream_reply(asked, is_closed_by=gone))
    stream = create_generator(CONFIG).stream(REQUEST)
    reader = threading.Thread(target=lambda: list(stream))
    reader.start()
    while not ours.received("/v1/chat/completions"):
        assert reader.is_alive()

    stream.close()
    asked.set()

    reader.join(10)
    assert not reader.is_alive()
    assert gone.wait(10)


def test_close_ends_waiting_for_a_model_that_loads(ours: StubServer) -> None:
    ours.on(CHAT, error_reply(503, "model_loading", **LOADING))
    stream = create_generator(CONFIG).stream(REQUEST)
    assert isinstance(next(stream), Loading)
    stream.close()
    assert list(stream) == []


def test_a_stream_that_is_dropped_unread_ends_its_request(ours: StubServer) -> None:
    gone = threading.Event()
    ours.on(CHAT, stream_reply(sse(delta("a")), is_closed_by=gone))
    stream = create_generator(CONFIG).stream(REQUEST)
    next(stream)

    del stream
    gc.collect()

    assert gone.wait(10)


def test_a_stream_that_has_ended_stays_ended(ours: StubServer) -> None:
    ours.on(CHAT, answer_reply("x"))
    stream = create_generator(CONFIG).stream(REQUEST)
    list(stream)
    assert list(stream) == []


def test_a_generator_that_cannot_start_is_a_failed_event_that_says_why(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; print('error: no such device', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-c", program))
    events = list(create_generator(CONFIG).stream(REQUEST))
    assert events[0] == Loading(stage="starting the generator")
    assert isinstance(events[-1], Failed)
    assert "no such device" in events[-1].error.message
    assert str(paths.log_dir()) in events[-1].error.hint


def test_a_bug_is_raised_where_the_events_are_read(ours: StubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(exchange, "build_own_call", fail)
    with pytest.raises(ZeroDivisionError):
        next(create_generator(CONFIG).stream(REQUEST))


def test_a_proxy_in_the_environment_does_not_divert_our_socket(
    ours: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    ours.on(CHAT, answer_reply("x"))
    assert ask().text == "x"


def test_a_stale_socket_of_a_dead_generator_starts_a_new_one(
    ours: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours.close()
    assert paths.socket_path().exists()
    monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-c", "raise SystemExit('error: started')"))
    error = ask(config=Config(generator=GeneratorSettings(connect_timeout_s=20))).error
    assert error is not None
    assert "started" in error.message
