from __future__ import annotations

import json
import time
from collections.abc import Sequence

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.client.answering import AnswerReader, stream_events
from assistant.client.failures import Place
from assistant.errors import GeneratorError, GeneratorLostError, OutOfMemoryError
from assistant.requests import AnswerEnded, Done, Event, FinishReason, Started, Token, Usage
from tests.client.stub_server import chunk_bytes, delta, sse

PLACE = Place(name="the generator", hint="look", is_ours=False)
SSE_TYPE = "text/event-stream"


def read(parts: Sequence[bytes], *, kind: str = SSE_TYPE, has_several: bool = False) -> list[Event]:
    headers = {"content-type": kind} if kind else {}
    response = httpx2.Response(
        200, headers=headers, content=iter(parts), request=httpx2.Request("POST", "http://x/")
    )
    reader = AnswerReader(
        PLACE, request_id="", model="asked", began=time.monotonic(), has_several=has_several
    )
    return list(stream_events(response, reader, PLACE))


def text_of(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


def done_of(events: Sequence[Event]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


ANSWER = sse(delta("def f():\n"), delta("    return 'é漢😀'\n"), delta(finish_reason="stop"), "[DONE]")
ANSWER_TEXT = "def f():\n    return 'é漢😀'\n"


def test_an_answer_without_an_id_in_its_headers_takes_the_chunks() -> None:
    assert read([ANSWER])[0] == Started(request_id="chatcmpl-1", model="stub")


@given(cuts=st.lists(st.integers(min_value=0, max_value=10_000), max_size=40))
def test_how_the_bytes_are_cut_does_not_matter(cuts: list[int]) -> None:
    raw = json.dumps(delta("é漢😀"), ensure_ascii=False)
    data = b": ping\r\n\r\n" + sse(raw).replace(b"\n", b"\r\n") + ANSWER
    events = read(chunk_bytes(data, cuts))
    assert text_of(events) == "é漢😀" + ANSWER_TEXT
    assert done_of(events).finish_reasons == (FinishReason.STOP,)


def test_one_byte_at_a_time_is_read_like_all_at_once() -> None:
    assert text_of(read([bytes([byte]) for byte in ANSWER])) == ANSWER_TEXT


def test_comments_ids_and_retry_lines_are_passed_over() -> None:
    data = b": ping\n\n:\n\nid: 7\nretry: 100\n\n" + ANSWER
    assert text_of(read([data])) == ANSWER_TEXT


def test_a_line_of_two_megabytes_is_read() -> None:
    long = "x" * 2_000_000
    assert text_of(read([sse(delta(long)), sse(delta(finish_reason="stop"))])) == long


def test_line_separators_of_unicode_inside_a_string_do_not_end_a_line() -> None:
    chunk = json.dumps(delta("a\u2028b\x85c", finish_reason="stop"), ensure_ascii=False)
    assert text_of(read([sse(chunk)])) == "a\u2028b\x85c"


def test_a_stream_may_end_without_its_mark() -> None:
    assert done_of(read([sse(delta("a"), delta(finish_reason="length"))])).finish_reasons == (
        FinishReason.LENGTH,
    )


def test_a_stream_with_its_mark_may_lack_a_finish_reason() -> None:
    assert done_of(read([sse(delta("a"), "[DONE]")])).finish_reasons == (FinishReason.STOP,)


def test_a_stream_with_neither_is_lost() -> None:
    with pytest.raises(GeneratorLostError):
        read([sse(delta("a"))])


def test_an_answer_of_which_one_of_several_did_not_finish_is_lost() -> None:
    with pytest.raises(GeneratorLostError):
        read([sse(delta("a", index=0), delta("b", index=1, finish_reason="stop"))])


def test_the_end_of_each_of_several_answers_is_told_once_and_where_it_is() -> None:
    chunks = [
        delta("a", index=1, finish_reason="length"),
        delta("b", index=0),
        delta("", index=1, finish_reason="length"),
        delta("", index=0, finish_reason="stop"),
    ]
    events = read([sse(*chunks, "[DONE]")], has_several=True)
    assert events[2] == AnswerEnded(index=1, finish_reason=FinishReason.LENGTH)
    assert [event.index for event in events if isinstance(event, AnswerEnded)] == [1, 0]


def test_the_end_of_a_single_answer_is_told_by_the_last_event_alone() -> None:
    assert not any(isinstance(event, AnswerEnded) for event in read([ANSWER]))


def test_nothing_at_all_is_no_answer() -> None:
    with pytest.raises(GeneratorError, match="sent no answer"):
        read([b""])


def test_what_follows_the_mark_is_not_read() -> None:
    assert text_of(read([ANSWER, sse(delta("more"))])) == ANSWER_TEXT


def test_usage_may_come_with_the_last_text_or_after_it_or_never() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    with_text = read([sse(delta("a", finish_reason="stop", usage=usage))])
    after = read([sse(delta("a", finish_reason="stop"), {"choices": [], "usage": usage}, "[DONE]")])
    never = read([sse(delta("a", finish_reason="stop", usage=None))])
    assert done_of(with_text).usage == done_of(after).usage == Usage(prompt_tokens=3, completion_tokens=5)
    assert done_of(never).usage is None


def test_empty_null_and_missing_content_is_no_token() -> None:
    chunks = [
        {"choices": [{"delta": {"role": "assistant", "content": None}}]},
        {"choices": [{"delta": {"content": ""}, "finish_reason": None}]},
        {"choices": [{"delta": None}]},
        {"choices": []},
        {"choices": [{"delta": {"reasoning_content": "let me think"}}]},
        {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]},
    ]
    assert [event for event in read([sse(*chunks)]) if isinstance(event, Token)] == [Token(text="x")]


def test_plain_completions_carry_their_text_beside_the_choice() -> None:
    chunks = [
        {"object": "text_completion", "choices": [{"text": "a", "index": 0}]},
        {"choices": [{"text": "b", "finish_reason": "stop"}]},
    ]
    assert text_of(read([sse(*chunks)])) == "ab"


def test_content_in_parts_is_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert text_of(read([sse({"choices": [{"delta": {"content": parts}, "finish_reason": "stop"}]})])) == "ab"


def test_a_character_cut_between_two_chunks_is_joined() -> None:
    first, second = (
        '{"choices":[{"delta":{"content":"a\\ud83d"}}]}',
        '{"choices":[{"delta":{"content":"\\ude00b"}}]}',
    )
    assert text_of(read([sse(first, second, "[DONE]")])) == "a😀b"


def test_half_a_character_that_stays_alone_is_replaced() -> None:
    chunk = '{"choices":[{"delta":{"content":"a\\ude00b"}}]}'
    assert text_of(read([sse(chunk, "[DONE]")])) == "a\ufffdb"


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("eos_token", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("cancelled", FinishReason.CANCELLED),
        ("abort", FinishReason.CANCELLED),
        ("content_filter", FinishReason.CANCELLED),
    ],
)
def test_every_servers_word_for_the_end_is_understood(word: str, reason: FinishReason) -> None:
    assert done_of(read([sse(delta("a", finish_reason=word))])).finish_reasons == (reason,)


def test_a_whole_json_answer_is_read_although_a_stream_was_asked_for() -> None:
    body = {
        "id": "c",
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "length"}
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }
    events = read([json.dumps(body).encode()], kind="application/json")
    assert events[:2] == [Started(request_id="c", model="m"), Token(text="a")]
    assert done_of(events).finish_reasons == (FinishReason.LENGTH,)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/octet-stream", "text/event-stream;charset=latin-1"]
)
def test_a_stream_under_another_type_is_read_all_the_same(kind: str) -> None:
    raw = json.dumps(delta("é", finish_reason="stop"), ensure_ascii=False)
    assert text_of(read([sse(raw)], kind=kind)) == "é"


def test_a_web_page_is_no_answer() -> None:
    with pytest.raises(GeneratorError, match="nonsense"):
        read([b"<!DOCTYPE html><html><body>hello</body></html>"], kind="text/html")


@pytest.mark.parametrize("chunk", ["no json", "[1]", "{}", '{"hello": 1}', "[" * 100_000])
def test_a_chunk_that_belongs_to_no_answer_is_an_error(chunk: str) -> None:
    with pytest.raises(GeneratorError, match="nonsense"):
        read([sse(chunk)])


@pytest.mark.parametrize(
    "chunk",
    [
        '{"error": {"message": "it broke", "code": 500}}',
        '{"error": "it broke"}',
        '{"error": "it broke: "quotes" unescaped"}',
        '{"object": "error", "message": "it broke", "code": 500}',
    ],
)
def test_an_error_in_the_stream_is_raised_with_its_message(chunk: str) -> None:
    with pytest.raises(GeneratorError, match="it broke"):
        read([sse(delta("a"), chunk)])


def test_an_error_in_the_stream_keeps_its_meaning() -> None:
    with pytest.raises(OutOfMemoryError):
        read([sse(delta("a"), {"error": {"message": "no room", "code": "out_of_memory"}})])


def test_speed_is_measured_where_the_server_does_not_say() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 5}
    done = done_of(read([sse(delta("a")), sse(delta("b", finish_reason="stop", usage=usage))]))
    assert done.tokens_per_s is not None
    assert done.tokens_per_s > 0
