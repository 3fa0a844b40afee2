from __future__ import annotations

from dataclasses import replace

import pytest

from assistant import launch
from assistant.answers import Answer, collect_answer
from assistant.client import create_generator
from assistant.client.calls import fetch_models
from assistant.client.connection import is_loopback
from assistant.config import Config, GeneratorSettings
from assistant.errors import ConfigError, GeneratorError, RequestRefusedError, UnknownModelError
from assistant.prompts import build_chat_messages, render_prompt
from assistant.requests import (
    FinishReason,
    Loading,
    Request,
    Role,
    Sampling,
    Turn,
    Usage,
    build_task_request,
)
from tests.client.stub_server import (
    Received,
    Reply,
    StubServer,
    answer_reply,
    delta,
    error_reply,
    json_reply,
    sse,
    stream_reply,
)

CHAT = "POST /v1/chat/completions"
MODELS = json_reply({"object": "list", "data": [{"id": "first"}, {"id": "second"}]})
REQUEST = build_task_request("sort a list", "[3, 1]")


def ask(config: Config, request: Request = REQUEST) -> Answer:
    return collect_answer(create_generator(config).stream(request))


def with_generator(config: Config, **changes: str) -> Config:
    return replace(config, generator=replace(config.generator, **changes))


def last(server: StubServer) -> Received:
    return server.requests[-1]


def test_a_chat_model_gets_the_conversation_as_plain_texts(
    foreign: StubServer, foreign_config: Config
) -> None:
    foreign.on(CHAT, answer_reply("x"))
    assert ask(foreign_config).text == "x"
    assert last(foreign).json["messages"] == build_chat_messages(REQUEST.turns)
    assert all(isinstance(message["content"], str) for message in last(foreign).json["messages"])


@pytest.mark.parametrize("prompt_format", ["python-task", "python-task-es", "python-task-2023"])
def test_a_task_model_gets_the_rendered_prompt(
    foreign: StubServer, foreign_config: Config, prompt_format: str
) -> None:
    foreign.on(
        "POST /v1/completions",
        stream_reply(sse({"choices": [{"text": "x", "finish_reason": "stop"}]}, "[DONE]")),
    )
    answer = ask(with_generator(foreign_config, prompt_format=prompt_format))
    assert answer.text == "x"
    assert last(foreign).json["prompt"] == render_prompt(prompt_format, REQUEST.turns)
    assert "messages" not in last(foreign).json


def test_only_standard_fields_are_sent(foreign: StubServer, foreign_config: Config) -> None:
    foreign.on(CHAT, answer_reply("x"))
    ask(foreign_config)
    ask(foreign_config, build_task_request("t", sampling=Sampling(seed=1, n=2, stop=("#",))))
    plain, full = (request.json for request in foreign.requests)
    assert set(plain) == {
        "model",
        "messages",
        "temperature",
        "top_p",
        "max_tokens",
        "stream",
        "stream_options",
    }
    assert set(full) - set(plain) == {"seed", "n", "stop"}


def test_what_openai_has_no_words_for_is_sent_where_it_changes_something(
    foreign: StubServer, foreign_config: Config
) -> None:
    foreign.on(CHAT, answer_reply("x"))
    ask(foreign_config, build_task_request("t", sampling=Sampling(top_k=5, syntax_guard=True)))
    sent = last(foreign).json
    assert sent["top_k"] == 5
    assert not {"min_p", "repetition_penalty", "syntax_guard"} & set(sent)


def test_the_request_names_the_model_else_the_configuration_else_the_server(
    foreign: StubServer, foreign_config: Config
) -> None:
    foreign.on("GET /v1/models", MODELS)
    foreign.on(CHAT, answer_reply("x"))
    ask(foreign_config, replace(REQUEST, model="asked"))
    ask(foreign_config)
    ask(with_generator(foreign_config, model=""))
    assert [request.json["model"] for request in foreign.received("/v1/chat/completions")] == [
        "asked",
        "their-model",
        "first",
    ]


def test_a_server_without_models_needs_one_configured(foreign: StubServer, foreign_config: Config) -> None:
    foreign.on("GET /v1/models", json_reply({"data": []}))
    error = ask(with_generator(foreign_config, model="")).error
    assert error is not None
    assert error.hint == "set generator.model"


def test_the_key_of_the_environment_is_sent_and_never_that_of_our_own_generator(
    foreign: StubServer, foreign_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign.on(CHAT, answer_reply("x"))
    ask(foreign_config)
    assert "authorization" not in last(foreign).headers
    monkeypatch.setenv("ASSISTANT_GENERATOR_TOKEN", "key")
    ask(foreign_config)
    assert last(foreign).headers["authorization"] == "Bearer key"


def test_a_key_that_no_header_can_hold_is_refused(
    foreign_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_TOKEN", "a\nb")
    with pytest.raises(ConfigError, match="ASSISTANT_GENERATOR_TOKEN"):
        create_generator(foreign_config)


@pytest.mark.parametrize("url", ["http://", "http:///v1", "http://[::1", "http://x:99999/v1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"generator\.url"):
        create_generator(Config(generator=GeneratorSettings(url=url)))


def test_a_password_in_the_address_is_in_no_message() -> None:
    config = Config(generator=GeneratorSettings(url="http://me:sesame@127.0.0.1:9/v1", model="m"))
    error = ask(config).error
    assert error is not None
    assert "sesame" not in error.message + error.hint


def test_our_own_generator_is_not_started_for_a_foreign_one(
    foreign: StubServer, foreign_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-c", "raise SystemExit('error: started')"))
    foreign.on(CHAT, answer_reply("x"))
    assert ask(foreign_config).error is None


def test_nobody_there_is_an_error_with_a_hint(foreign: StubServer, foreign_config: Config) -> None:
    foreign.close()
    error = ask(foreign_config).error
    assert isinstance(error, GeneratorError)
    assert "generator.url" in error.hint


def test_a_server_that_wants_max_completion_tokens_gets_it(
    foreign: StubServer, foreign_config: Config
) -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    foreign.on(CHAT, error_reply(400, "unsupported_parameter", message), answer_reply("x"))
    assert ask(foreign_config).text == "x"
    assert "max_tokens" not in last(foreign).json
    assert last(foreign).json["max_completion_tokens"] == 1024


def test_a_server_that_does_not_know_stream_options_is_asked_without(
    foreign: StubServer, foreign_config: Config
) -> None:
    detail = [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
    foreign.on(CHAT, json_reply({"detail": detail}, status=422), answer_reply("x"))
    assert ask(foreign_config).text == "x"
    assert "stream_options" not in last(foreign).json


def test_a_field_that_is_refused_for_good_is_an_error(foreign: StubServer, foreign_config: Config) -> None:
    foreign.on(CHAT, error_reply(400, "", "stream_options and max_tokens are no good"))
    error = ask(foreign_config).error
    assert isinstance(error, RequestRefusedError)
    assert len(foreign.requests) == 2


def test_an_unknown_model_is_refused_with_the_names_that_come_near(
    foreign: StubServer, foreign_config: Config
) -> None:
    foreign.on("GET /v1/models", json_reply({"data": [{"id": "our-model"}, {"id": "zzz"}]}))
    foreign.on(CHAT, json_reply({"error": {"message": "The model does not exist.", "code": 404}}, status=404))
    error = ask(foreign_config).error
    assert isinstance(error, UnknownModelError)
    assert error.hint == "it serves our-model"


def test_a_wrong_address_is_no_unknown_model(foreign: StubServer, foreign_config: Config) -> None:
    foreign.on(CHAT, json_reply({"detail": "Not Found"}, status=404))
    error = ask(foreign_config).error
    assert type(error) is GeneratorError
    assert "/v1" in error.hint


def test_a_server_that_loads_its_model_is_waited_for(foreign: StubServer, foreign_config: Config) -> None:
    # as llama.cpp says it
    body = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
    foreign.on(CHAT, json_reply(body, status=503), answer_reply("x"))
    events = list(create_generator(foreign_config).stream(REQUEST))
    assert events[0] == Loading(stage="loading the model")
    assert collect_answer(events).text == "x"


def test_a_server_that_is_down_for_another_reason_is_not_waited_for(
    foreign: StubServer, foreign_config: Config
) -> None:
    foreign.on(CHAT, error_reply(503, "", "the worker is dead"))
    assert isinstance(ask(foreign_config).error, GeneratorError)
    assert len(foreign.requests) == 1


def test_a_redirect_is_not_followed_with_the_prompt(foreign: StubServer, foreign_config: Config) -> None:
    foreign.on(CHAT, Reply(status=307, headers={"location": "http://127.0.0.1:9/"}))
    error = ask(foreign_config).error
    assert isinstance(error, GeneratorError)
    assert "elsewhere" in error.message
    assert len(foreign.requests) == 1


def test_a_stream_as_transformers_serve_writes_it_is_understood(
    foreign: StubServer, foreign_config: Config
) -> None:
    # No mark at the end, absent fields instead of null ones, the usage with the finish reason.
    def chunk(**choice: object) -> dict[str, object]:
        return {
            "id": "u",
            "choices": [{"index": 0, "delta": {}, **choice}],
            "created": 1,
            "model": "org/m@main",
        }

    usage = {"completion_tokens": 2, "prompt_tokens": 9, "total_tokens": 11}
    foreign.on(
        CHAT,
        stream_reply(
            sse(chunk(delta={"role": "assistant"})),
            sse(chunk(delta={"content": "a"})) + sse(chunk(delta={"content": "b"})),
            sse({**chunk(finish_reason="length"), "usage": usage}),
        ),
    )
    answer = ask(foreign_config)
    assert (answer.text, answer.model, answer.error) == ("ab", "org/m@main", None)
    assert answer.finish_reasons == (FinishReason.LENGTH,)
    assert answer.usage == Usage(prompt_tokens=9, completion_tokens=2)


def test_a_conversation_is_sent_whole(foreign: StubServer, foreign_config: Config) -> None:
    foreign.on(CHAT, answer_reply("x"))
    turns = (
        Turn(role=Role.USER, text="one"),
        Turn(role=Role.ASSISTANT, text="two"),
        Turn(role=Role.USER, text="three"),
    )
    ask(foreign_config, Request(turns=turns))
    assert last(foreign).json["messages"] == build_chat_messages(turns)


def test_a_proxy_does_not_get_what_is_for_this_machine(
    foreign: StubServer, foreign_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    foreign.on(CHAT, answer_reply("x"))
    assert ask(foreign_config).text == "x"


def test_a_proxy_is_used_for_other_machines(
    foreign: StubServer, foreign_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", foreign.url)
    address = "http://gpu.invalid/v1"
    foreign.on(f"POST {address}/chat/completions", stream_reply(sse(delta("x", finish_reason="stop"))))
    assert ask(with_generator(foreign_config, url=address)).text == "x"


def test_a_proxy_of_an_unknown_kind_is_an_error(
    foreign_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "gopher://127.0.0.1:9")
    error = ask(with_generator(foreign_config, url="http://gpu.invalid/v1")).error
    assert isinstance(error, GeneratorError)
    assert "proxy" in error.message


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "0.0.0.0"])
def test_this_machine_is_known_under_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example.org", "localhost.example.org", "10.0.0.1", "::2", ""])
def test_other_machines_are_not_this_one(host: str) -> None:
    assert not is_loopback(host)


def test_models_are_listed_in_the_servers_order(foreign: StubServer, foreign_config: Config) -> None:
    foreign.on("GET /v1/models", MODELS)
    assert fetch_models(foreign_config) == ["first", "second"]
