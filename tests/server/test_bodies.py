from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant import limits
from assistant.config import SamplingSettings
from assistant.requests import Role, Turn
from assistant.server.bodies import Order, parse_chat, parse_completion
from assistant.server.refusals import RefusedError

DEFAULTS = SamplingSettings(temperature=0.5, top_p=0.9, max_tokens=77)
MESSAGES = [{"role": "user", "content": "hello"}]


def chat(**fields: Any) -> Order:
    return parse_chat(json.dumps({"messages": MESSAGES, **fields}).encode(), DEFAULTS)


def refused(body: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        parse_chat(body, DEFAULTS)
    assert caught.value.status == 400
    return caught.value


def test_what_a_request_does_not_say_comes_from_the_settings() -> None:
    sampling = chat().sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.n) == (0.5, 0.9, 77, 1)


def test_what_a_request_says_is_taken() -> None:
    order = chat(temperature=0, top_p=0.5, max_tokens=5, seed=3, stop=["a", "b"], n=2, model="m", stream=True)
    sampling = order.sampling
    assert (sampling.temperature, sampling.top_p, sampling.max_tokens) == (0.0, 0.5, 5)
    assert (sampling.seed, sampling.stop, sampling.n) == (3, ("a", "b"), 2)
    assert (order.model, order.is_streamed) == ("m", True)


def test_the_fields_beyond_openai_s_are_taken_and_their_ranges_held() -> None:
    fields = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "syntax_guard": False}
    sampling = chat(**fields).sampling
    assert {name: getattr(sampling, name) for name in fields} == fields
    for wrong in ({"top_k": -1}, {"min_p": 1.1}, {"repetition_penalty": 0.1}, {"syntax_guard": "on"}):
        refused(json.dumps({"messages": MESSAGES, **wrong}).encode())


@pytest.mark.parametrize(
    ("asked", "set_to", "expected"), [(None, 0, None), (None, 1.1, 1.1), (1.0, 1.1, 1.0)]
)
def test_a_penalty_is_the_requests_else_the_settings_else_left_to_the_model(
    asked: float | None, set_to: float, expected: float | None
) -> None:
    body = json.dumps({"messages": MESSAGES, "repetition_penalty": asked}).encode()
    order = parse_chat(body, SamplingSettings(repetition_penalty=set_to))
    assert order.sampling.repetition_penalty == expected


def test_the_guard_is_on_in_chats_and_on_request_in_plain_completions() -> None:
    def complete(**fields: Any) -> bool | None:
        return parse_completion(
            json.dumps({"prompt": "x = (", **fields}).encode(), DEFAULTS
        ).sampling.syntax_guard

    assert chat().sampling.syntax_guard is True
    assert not complete()
    assert complete(syntax_guard=True)
    off = parse_chat(json.dumps({"messages": MESSAGES}).encode(), SamplingSettings(syntax_guard="off"))
    assert off.sampling.syntax_guard is False


def test_null_is_the_default() -> None:
    names = ["temperature", "top_p", "max_tokens", "seed", "stop", "n", "stream", "model", "tools", "user"]
    assert chat(**dict.fromkeys(names)).sampling.max_tokens == 77


def test_one_stop_is_a_list_of_one() -> None:
    assert chat(stop="\n\n").sampling.stop == ("\n\n",)


def test_max_completion_tokens_is_max_tokens() -> None:
    assert chat(max_completion_tokens=9).sampling.max_tokens == 9


def test_two_different_limits_are_refused() -> None:
    with pytest.raises(RefusedError, match="invalid_request"):
        chat(max_completion_tokens=9, max_tokens=8)


@pytest.mark.parametrize("model", [None, "", "default"])
def test_no_model_is_the_active_one(model: str | None) -> None:
    assert chat(model=model).model == ""


def test_second_text_part_of_a_user_is_the_input_and_further_ones_join_it() -> None:
    parts = [{"type": "text", "text": text} for text in ("sort it", "[3, 1]", "[2]")]
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": parts[:2]},
    ]
    assert chat(messages=messages).turns == (
        Turn(role=Role.SYSTEM, text="Be brief."),
        Turn(role=Role.USER, text="sort it", input="[3, 1]\n[2]"),
        Turn(role=Role.ASSISTANT, text="sort it\n[3, 1]"),
    )


def test_answer_that_comes_back_as_openais_client_stores_it_is_taken() -> None:
    stored = {"role": "assistant", "content": "x", "refusal": None, "tool_calls": None, "annotations": []}
    assert chat(messages=[*MESSAGES, stored]).turns[1].text == "x"


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "me", "metadata": {"a": "b"}, "store": False},
        {"logprobs": False, "top_logprobs": 0, "logit_bias": {}, "n": 1},
        {"presence_penalty": 0, "frequency_penalty": 0.0, "response_format": {"type": "text"}},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": True, "modalities": ["text"]},
        {"stream": True, "stream_options": {"include_usage": True}},
    ],
)
def test_what_changes_nothing_is_taken(fields: dict[str, Any]) -> None:
    assert chat(**fields).turns


BAD_FIELDS: list[tuple[str, Any]] = [
    *[("temperature", value) for value in (-0.1, 2.1, 1e308, -1e308, "1", True, [], {})],
    *[("top_p", value) for value in (0, -1, 1.01, 1e308, "1")],
    *[
        ("max_tokens", value)
        for value in (0, -1, limits.MAX_MAX_TOKENS + 1, 10**30, -(10**30), 1.5, "9", True)
    ],
    *[("max_completion_tokens", value) for value in (0, -1, 10**30)],
    *[("seed", value) for value in (-1, 2**63, 10**100, 0.5)],
    *[("n", value) for value in (0, -1, 17, 10**30)],
    *[("stop", value) for value in ("", "x" * 65, ["a"] * 9, [1], 5, {}, "a\0", [None])],
    *[("stream", value) for value in ("true", 1, [])],
    *[("model", value) for value in (5, "x" * 201, "a\0", [])],
    *[("presence_penalty", value) for value in (0.5, -0.5, 10**400)],
    ("frequency_penalty", 1),
    ("top_q", 5),
    ("logprobs", True),
    ("store", True),
    ("tools", [{"type": "function"}]),
    ("response_format", {"type": "json_object"}),
    ("logit_bias", {"1": 2}),
    ("stream_options", {"include_usage": True}),
    *[("messages", value) for value in ([], None, 5, "x", [5], [None], [[]], MESSAGES * 513)],
]


@pytest.mark.parametrize(("name", "value"), BAD_FIELDS, ids=range(len(BAD_FIELDS)))
def test_field_that_cannot_be_honoured_is_named(name: str, value: object) -> None:
    refusal = refused(json.dumps({"messages": MESSAGES, name: value}).encode())
    assert refusal.code == "invalid_request"
    # A number with hundreds of digits is no number to any JSON reader, and then no field is at fault.
    if len(str(value)) < 4000 and value not in (10**400,):
        assert (refusal.error["param"] or "").split(".")[0] == name
        assert name in refusal.error["message"]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"role": "user"},
        {"role": "tool", "content": "x"},
        {"role": "user", "content": None},
        {"role": "user", "content": 5},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
        {"role": "user", "content": [{"type": "text"}]},
        {"role": "user", "content": "x", "name": "me"},
        {"role": "assistant", "content": "x", "tool_calls": [{}]},
        {"role": "user", "content": "a\0b"},
    ],
)
def test_message_that_cannot_be_honoured_is_named_by_its_place(message: dict[str, Any]) -> None:
    refusal = refused(json.dumps({"messages": [*MESSAGES, message]}).encode())
    assert refusal.error["param"].startswith("messages.1")


def test_range_is_in_the_message() -> None:
    refusal = refused(json.dumps({"messages": MESSAGES, "temperature": 3}).encode())
    assert refusal.error["message"] == "temperature must be at most 2"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b"{",
        b'{"messages":',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'{"messages":[{"role":"user","content":"\xff"}]}',
        b'{"messages":[{"role":"user","content":"\xed\xa0\x80"}]}',
        b'{"messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"messages":[{"role":"user","content":"\\udc00\\ud800"}]}',
        b'{"messages":[{"role":"user","content":"\\u0000"}]}',
        b'{"messages":[{"role":"user","content":"x"}],"temperature":NaN}',
        b'{"messages":[{"role":"user","content":"x"}],"temperature":Infinity}',
        b'{"messages":[{"role":"user","content":"x"}],"temperature":1e999}',
        b'{"messages":[{"role":"user","content":"x"}],"seed":' + b"9" * 1_000_000 + b"}",
        b"[" * 100_000,
        b'{"messages":' + b'[{"a":' * 100_000,
        b'{"x":' * 100_000 + b"1" + b"}" * 100_000,
        b'"' * 1_000_000,
        b"[]" * 1_000_000,
    ],
    ids=range(22),
)
def test_body_that_is_no_request_is_refused(body: bytes) -> None:
    assert refused(body).code == "invalid_request"


def test_body_nested_too_deep_says_so() -> None:
    assert "nested" in refused(b"[" * 100_000).error["message"]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_refusal_and_no_crash(body: bytes) -> None:
    refused(body)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.sampled_from(["messages", "temperature", "max_tokens", "stop", "stream_options", "metadata", "zzz"]),
    JSON_VALUES,
)
def test_any_value_of_a_field_is_taken_or_refused(name: str, value: object) -> None:
    body = json.dumps({"messages": MESSAGES, name: value}).encode()
    with contextlib.suppress(RefusedError):
        assert 1 <= parse_chat(body, DEFAULTS).sampling.max_tokens <= limits.MAX_MAX_TOKENS


def test_completion_prompt_is_text_or_a_list_of_one() -> None:
    for prompt in ("x = ", ["x = "]):
        body = json.dumps({"prompt": prompt}).encode()
        order = parse_completion(body, DEFAULTS)
        assert (order.prompt, order.is_chat) == ("x = ", False)


@pytest.mark.parametrize("fields", [{}, {"prompt": ["a", "b"]}, {"prompt": [1, 2]}, {"prompt": None}])
def test_completion_prompt_of_any_other_kind_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="invalid_request"):
        parse_completion(json.dumps(fields).encode(), DEFAULTS)


@pytest.mark.parametrize("fields", [{"echo": True}, {"logprobs": 1}, {"suffix": "x"}, {"best_of": 2}])
def test_completion_field_that_cannot_be_honoured_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="invalid_request"):
        parse_completion(json.dumps({"prompt": "x", **fields}).encode(), DEFAULTS)
