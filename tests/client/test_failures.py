from __future__ import annotations

import json

import httpx2
import pytest

from assistant.client import failures
from assistant.client.failures import Place, UnreachableError, parse_refusal, refusal_error, translated
from assistant.errors import (
    AssistantError,
    ContextOverflowError,
    GeneratorBusyError,
    GeneratorError,
    GeneratorLostError,
    RequestRefusedError,
    UnknownModelError,
)

PLACE = Place(name="the generator at http://x/v1", hint="look at it", is_ours=False)
REQUEST = httpx2.Request("POST", "http://x/")


def every_exception_of_httpx2() -> list[type[Exception]]:
    things = [getattr(httpx2, name) for name in httpx2.__all__]
    return [thing for thing in things if isinstance(thing, type) and issubclass(thing, Exception)]


def build(kind: type[Exception]) -> Exception:
    if issubclass(kind, httpx2.HTTPStatusError):
        return kind("boom", request=REQUEST, response=httpx2.Response(500))
    takes_nothing = (
        httpx2.StreamConsumed,
        httpx2.StreamClosed,
        httpx2.ResponseNotRead,
        httpx2.RequestNotRead,
    )
    if issubclass(kind, takes_nothing):
        return kind()
    return kind("boom")


def translate(kind: type[Exception], *, has_begun: bool = False) -> AssistantError:
    with pytest.raises(AssistantError) as caught, translated(PLACE, has_begun=has_begun):
        raise build(kind)
    assert isinstance(caught.value.__cause__, kind)
    return caught.value


@pytest.mark.parametrize("kind", every_exception_of_httpx2())
@pytest.mark.parametrize("has_begun", [True, False])
def test_every_exception_of_httpx2_becomes_ours(kind: type[Exception], *, has_begun: bool) -> None:
    error = translate(kind, has_begun=has_begun)
    assert isinstance(error, GeneratorError)
    assert PLACE.name in error.message


def test_there_are_exceptions_to_test() -> None:
    assert len(every_exception_of_httpx2()) > 20


@pytest.mark.parametrize("kind", [httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError])
def test_a_failure_to_connect_says_what_to_look_at(kind: type[Exception]) -> None:
    error = translate(kind)
    assert isinstance(error, UnreachableError)
    assert error.hint == "look at it"


@pytest.mark.parametrize("kind", [httpx2.ReadError, httpx2.RemoteProtocolError, httpx2.ReadTimeout])
def test_the_end_of_an_answer_that_had_begun_is_a_loss(kind: type[Exception]) -> None:
    assert isinstance(translate(kind, has_begun=True), GeneratorLostError)


def test_other_exceptions_pass() -> None:
    with pytest.raises(ZeroDivisionError), translated(PLACE):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("status", "body", "expected", "words"),
    [
        # vLLM
        (
            400,
            {"error": {"message": "bad top_p", "type": "BadRequestError", "code": 400}},
            RequestRefusedError,
            "bad",
        ),
        (
            404,
            {"error": {"message": "The model `x` does not exist.", "param": "model"}},
            UnknownModelError,
            "exist",
        ),
        (400, {"object": "error", "message": "bad top_k", "code": 400}, RequestRefusedError, "top_k"),
        (
            400,
            {"error": {"message": "This model's maximum context length is 4096 tokens. You asked for 5000."}},
            ContextOverflowError,
            "4096",
        ),
        # llama.cpp
        (
            400,
            {
                "error": {
                    "code": 400,
                    "type": "exceed_context_size_error",
                    "n_prompt_tokens": 500,
                    "n_ctx": 256,
                }
            },
            ContextOverflowError,
            "500",
        ),
        # OpenAI
        (
            401,
            {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}},
            GeneratorError,
            "Incorrect",
        ),
        (429, {"error": {"message": "slow down", "code": "rate_limit"}}, GeneratorBusyError, "slow"),
        # Ollama
        (404, {"error": {"message": 'model "x" not found', "code": None}}, UnknownModelError, "not found"),
        # TGI
        (422, {"error": "too many tokens", "error_type": "validation"}, RequestRefusedError, "too many"),
        # FastAPI
        (404, {"detail": "Not Found"}, GeneratorError, "Not Found"),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "too big"}]}, RequestRefusedError, "body.n: too big"),
        # A proxy, a web server
        (
            502,
            "<html><head><title>502 Bad\nGateway</title></head><body>x</body></html>",
            GeneratorError,
            "502 Bad Gate",
        ),
        (500, "Internal Server Error", GeneratorError, "Internal Server Error"),
        (500, "", GeneratorError, "500"),
        (302, "", GeneratorError, "elsewhere"),
        (418, "[1, 2]", RequestRefusedError, "1; 2"),
    ],
)
def test_the_error_formats_of_other_servers_are_understood(
    status: int, body: object, expected: type[AssistantError], words: str
) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    error = refusal_error(parse_refusal(status, {}, text), PLACE)
    assert type(error) is expected
    assert words in error.message


def test_a_refused_token_names_the_variable_for_it() -> None:
    assert "ASSISTANT_GENERATOR_TOKEN" in refusal_error(parse_refusal(401, {}, "no"), PLACE).hint


def test_a_strangers_message_cannot_drive_the_terminal() -> None:
    error = refusal_error(parse_refusal(400, {}, "a\x1b]0;title\x07b\n\x9bc" + "d" * 2000), PLACE)
    assert error.message.isprintable()
    assert len(error.message) < failures.MAX_MESSAGE_CHARS + 100


@pytest.mark.parametrize(
    ("value", "seconds"), [("1", 1.0), ("0.5", 0.5), ("Wed, 21 Oct", None), ("-1", None)]
)
def test_retry_after_is_read_when_it_counts_seconds(value: str, seconds: float | None) -> None:
    assert parse_refusal(429, {"retry-after": value}, "").retry_after_s == seconds
