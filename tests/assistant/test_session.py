from __future__ import annotations

from dataclasses import replace

from assistant.answers import collect_answer
from assistant.errors import GeneratorLostError
from assistant.history.records import Outcome
from assistant.requests import Done, Failed, FinishReason, Role, Sampling, Started, Token, Usage
from assistant.session import Session, finish_exchange


def answered(session: Session, task: str, answer: str, input_text: str = "") -> None:
    exchange = session.begin(task, input_text, sampling=Sampling())
    session.put(replace(exchange, answer=answer, outcome=Outcome.STOP))


def test_a_first_task_goes_alone() -> None:
    session = Session("chat")
    exchange = session.begin("sort", "[3, 1]", sampling=Sampling(seed=1), model="m")
    request = session.build_request(exchange, earlier_turns=2)
    assert [(turn.text, turn.input) for turn in request.turns] == [("sort", "[3, 1]")]
    assert (request.sampling.seed, request.model) == (1, "m")


def test_a_task_without_input_takes_the_last_exchanges_along() -> None:
    session = Session("chat")
    for number in range(3):
        answered(session, f"task {number}", f"answer {number}")
    request = session.build_request(session.begin("shorter", sampling=Sampling()), earlier_turns=2)
    texts = [turn.text for turn in request.turns]
    assert texts == ["task 1", "answer 1", "task 2", "answer 2", "shorter"]
    assert [turn.role for turn in request.turns][:2] == [Role.USER, Role.ASSISTANT]


def test_a_task_with_an_input_goes_alone() -> None:
    session = Session("chat")
    answered(session, "first", "x = 1")
    request = session.build_request(session.begin("hints", "x = 1", sampling=Sampling()), earlier_turns=2)
    assert len(request.turns) == 1


def test_no_earlier_turns_means_none() -> None:
    session = Session("chat")
    answered(session, "first", "x = 1")
    request = session.build_request(session.begin("more", sampling=Sampling()), earlier_turns=0)
    assert len(request.turns) == 1


def test_earlier_turns_that_are_too_long_stay_behind() -> None:
    session = Session("chat")
    answered(session, "long", "x" * 13_000)
    request = session.build_request(session.begin("more", sampling=Sampling()), earlier_turns=2)
    assert len(request.turns) == 1


def test_a_variant_does_not_see_the_answer_that_it_replaces() -> None:
    session = Session("chat")
    answered(session, "first", "one")
    answered(session, "second", "two")
    variant = session.begin_variant(session.exchanges[-1], sampling=Sampling(seed=5))
    request = session.build_request(variant, earlier_turns=2)
    assert [turn.text for turn in request.turns] == ["first", "one", "second"]


def test_of_several_answers_to_a_task_the_last_one_counts() -> None:
    session = Session("chat")
    answered(session, "first", "one")
    variant = session.begin_variant(session.exchanges[0], sampling=Sampling())
    session.put(replace(variant, answer="better", outcome=Outcome.STOP))
    request = session.build_request(session.begin("next", sampling=Sampling()), earlier_turns=2)
    assert [turn.text for turn in request.turns] == ["first", "better", "next"]


def test_a_resumed_conversation_keeps_its_id() -> None:
    first = Session("chat")
    answered(first, "a", "b")
    assert Session("chat", first.exchanges).conversation == first.conversation


def test_the_answer_before_is_found_past_those_without_one() -> None:
    session = Session("chat")
    answered(session, "a", "x = 1")
    session.begin("failed", sampling=Sampling())
    last = session.begin("b", sampling=Sampling())
    before = session.find_before(last)
    assert before is not None
    assert before.answer == "x = 1"


def test_a_finished_exchange_has_all_that_the_end_says() -> None:
    usage = Usage(prompt_tokens=1, completion_tokens=2)
    done = Done(
        finish_reasons=(FinishReason.LENGTH,), usage=usage, model="m", seed=9, seconds=2.0, tokens_per_s=3.0
    )
    answer = collect_answer([Started(request_id="r", model="m"), Token(text="a"), Token(text="b"), done])
    exchange = finish_exchange(Session("chat").begin("t", sampling=Sampling()), answer)
    assert (exchange.answer, exchange.outcome, exchange.model) == ("ab", Outcome.LENGTH, "m")
    assert (exchange.sampling.seed, exchange.usage, exchange.tokens_per_s) == (9, usage, 3.0)


def test_a_failed_exchange_keeps_its_text_and_the_reason() -> None:
    failed = Failed(error=GeneratorLostError("it ended", hint="ask again"))
    answer = collect_answer([Started(request_id="r", model="m"), Token(text="half"), failed])
    exchange = finish_exchange(Session("chat").begin("t", sampling=Sampling()), answer)
    assert (exchange.answer, exchange.outcome) == ("half", Outcome.FAILED)
    assert exchange.error == "it ended (ask again)"


def test_an_exchange_without_an_end_was_cancelled() -> None:
    answer = collect_answer([Started(request_id="r", model="m"), Token(text="half")])
    exchange = finish_exchange(Session("chat").begin("t", sampling=Sampling()), answer)
    assert exchange.outcome is Outcome.CANCELLED
