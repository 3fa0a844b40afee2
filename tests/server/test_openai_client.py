"""OpenAI's own client, unchanged, against our server."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from assistant.engine.scripted import ScriptedModel
from tests.server.harness import Live, wait_until

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
TEXT = "def f():\n    return 1\n"


@pytest.fixture
def client(live: Live) -> Iterator[openai.OpenAI]:
    transport = httpx2.HTTPTransport(uds=str(live.socket_file))
    with openai.OpenAI(
        base_url="http://localhost/v1",
        api_key=live.token,
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    ) as client:
        yield client


def test_chat_is_answered(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="old", messages=MESSAGES, temperature=0.5, seed=1)
    assert answer.choices[0].message.content == TEXT
    assert answer.usage is not None
    assert answer.usage.total_tokens == 7


def test_answer_can_be_sent_back_as_it_came(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model="", messages=MESSAGES).choices[0].message
    again = client.chat.completions.create(model="", messages=[*MESSAGES, first, *MESSAGES])  # type: ignore[list-item]
    assert again.choices[0].message.content == TEXT


def test_chat_is_streamed(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="default", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert last.usage is not None
    assert last.usage.completion_tokens == 2


def test_completion_is_answered(client: openai.OpenAI) -> None:
    assert client.completions.create(model="old", prompt="x").choices[0].text == TEXT


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["old"]


def test_errors_are_openais(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="none", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="", messages=[{"role": "user", "content": "x" * 5000}])
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()


def test_stop_of_a_stream_frees_the_slot(make_live: Callable[..., Live]) -> None:
    live = make_live()
    live.loads.build = lambda name: ScriptedModel(name, ["x"] * 10_000, step_s=0.002)
    live.start()
    transport = httpx2.HTTPTransport(uds=str(live.socket_file))
    with (
        openai.OpenAI(
            base_url="http://localhost/v1", api_key=live.token, http_client=httpx2.Client(transport=transport)
        ) as client,
        client.chat.completions.create(model="", messages=MESSAGES, stream=True) as stream,
    ):
        next(iter(stream))
    wait_until(lambda: live.loads.last.active_sequences() == 0)
