from __future__ import annotations

from assistant.answers import AnswerBuilder, collect_answer
from assistant.errors import GeneratorLostError
from assistant.generator import ScriptedGenerator
from assistant.requests import (
    AnswerEnded,
    Done,
    Failed,
    FinishReason,
    Loading,
    Started,
    Token,
    Usage,
    build_task_request,
)

STARTED = Started(request_id="r", model="m")
DONE = Done(finish_reasons=(FinishReason.STOP,), usage=None, model="m")


def test_pieces_are_joined_in_order() -> None:
    answer = collect_answer([Loading(stage="x"), STARTED, Token(text="a"), Token(text="b"), DONE])
    assert (answer.text, answer.request_id, answer.error) == ("ab", "r", None)
    assert answer.finish_reasons == (FinishReason.STOP,)


def test_several_answers_are_kept_apart() -> None:
    reasons = (FinishReason.STOP, FinishReason.LENGTH, FinishReason.STOP)
    done = Done(finish_reasons=reasons, usage=Usage(prompt_tokens=1, completion_tokens=2), model="m", seed=3)
    answer = collect_answer([STARTED, Token(text="b", index=1), Token(text="a"), done])
    assert answer.texts == ("a", "b", "")
    assert answer.finish_reasons == reasons
    assert (answer.seed, answer.usage) == (3, done.usage)


def test_an_error_keeps_the_text_before_it() -> None:
    error = GeneratorLostError("gone")
    answer = collect_answer([STARTED, Token(text="half"), Failed(error=error)])
    assert (answer.text, answer.error, answer.model) == ("half", error, "m")


def test_events_that_stop_early_are_a_cancelled_answer() -> None:
    answer = collect_answer([STARTED, Token(text="half", index=1)])
    assert answer.texts == ("", "half")
    assert answer.finish_reasons == (FinishReason.CANCELLED,) * 2
    assert answer.error is None


def test_an_answer_that_had_ended_before_the_events_stopped_is_whole() -> None:
    ended = AnswerEnded(index=1, finish_reason=FinishReason.STOP)
    answer = collect_answer([STARTED, Token(text="half"), Token(text="all", index=1), ended])
    assert answer.finish_reasons == (FinishReason.CANCELLED, FinishReason.STOP)


def test_no_event_at_all_is_an_empty_answer() -> None:
    assert collect_answer([]).texts == ("",)


def test_a_builder_can_be_asked_at_any_time() -> None:
    builder = AnswerBuilder()
    builder.add(STARTED)
    builder.add(Token(text="a"))
    assert builder.build().text == "a"
    builder.add(Token(text="b"))
    assert builder.build().text == "ab"


def test_a_stream_of_any_generator_can_be_collected() -> None:
    generator = ScriptedGenerator([["x", "y"]])
    assert collect_answer(generator.stream(build_task_request("t"))).text == "xy"
