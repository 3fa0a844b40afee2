from __future__ import annotations

import subprocess
from collections.abc import Iterator

import openai
import psutil
import pytest
from homes import MODEL, Home, wait_until
from openai.types.chat import ChatCompletionMessageParam

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Write hello world in Python"}]

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


@pytest.fixture
def base_url(home: Home) -> Iterator[str]:
    process = home.start(
        "serve", "--tcp", "127.0.0.1:0", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def port() -> int | None:
        ports = [
            c.laddr.port
            for c in psutil.Process(process.pid).net_connections(kind="inet")
            if c.status == psutil.CONN_LISTEN
        ]
        return ports[0] if ports else None

    wait_until(lambda: port() is not None and home.token_file.exists())
    yield f"http://127.0.0.1:{port()}/v1"
    process.terminate()
    assert process.wait(20) == 0


@pytest.fixture
def client(base_url: str, home: Home) -> Iterator[openai.OpenAI]:
    token = home.token_file.read_text(encoding="ascii").strip()
    # The first requests meet a loading model: the SDK's own retries on 503 wait for it.
    with openai.OpenAI(base_url=base_url, api_key=token, max_retries=20) as client:
        yield client


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]


def test_a_chat_answers(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=40, temperature=0)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_chat_streams_what_it_answers_whole(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=40, temperature=0)
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=QUESTION,
            max_tokens=40,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    streamed, counted = chunks[-1].usage, whole.usage
    assert streamed is not None
    assert counted is not None
    # The second question finds its prompt computed: that alone may differ.
    hidden = {"prompt_tokens_details"}
    assert streamed.model_dump(exclude=hidden) == counted.model_dump(exclude=hidden)


def test_several_answers_and_stop_strings(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=30, n=3, seed=5, temperature=0.9, stop=["\n\n"]
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert all("\n\n" not in (choice.message.content or "") for choice in answer.choices)


def test_a_text_completion_answers_and_streams(client: openai.OpenAI) -> None:
    prompt = "def add(a, b):\n    return"
    whole = client.completions.create(model=MODEL, prompt=prompt, max_tokens=8, temperature=0)
    pieces = client.completions.create(model=MODEL, prompt=prompt, max_tokens=8, temperature=0, stream=True)
    assert whole.choices[0].text == "".join(c.choices[0].text for c in pieces if c.choices)


def test_a_wrong_token_is_an_authentication_error(base_url: str, client: openai.OpenAI) -> None:
    with (
        openai.OpenAI(base_url=base_url, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="smollm2-135m", messages=QUESTION)
    assert caught.value.code == "model_not_found"
    assert MODEL in str(caught.value.response.json()["error"]["nearest"])


def test_a_prompt_over_the_context_is_a_bad_request(client: openai.OpenAI) -> None:
    long: list[ChatCompletionMessageParam] = [{"role": "user", "content": "word " * 9000}]
    with pytest.raises(openai.BadRequestError, match="8192") as caught:
        client.chat.completions.create(model=MODEL, messages=long)
    assert caught.value.code == "context_length_exceeded"


def test_a_temperature_out_of_range_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature"):
        client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=3)
