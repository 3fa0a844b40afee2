from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from assistant.config import Config
from assistant.errors import AssistantError, GeneratorLostError
from assistant.generator import EventStream, ScriptedGenerator
from assistant.history.records import Exchange, Outcome
from assistant.requests import Event, Failed, Loading, Request, Sampling, Token, build_task_request
from tui.answering import Answering
from tui.chat import FRESH_TEMPERATURE, Chat
from tui.streaming import LONGEST_PAUSE_S, SHORTEST_PAUSE_S, Pump, pause_for

REQUEST = build_task_request("t")


class Held:
    """A stream that says one word and then waits until it is closed."""

    def __init__(self) -> None:
        self._closed = threading.Event()
        self._said = False

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if not self._said:
            self._said = True
            return Token(text="half")
        assert self._closed.wait(30)
        raise StopIteration

    def close(self) -> None:
        self._closed.set()

    def stream(self, request: Request) -> EventStream:
        return self


def taken(pump: Pump) -> list[Event]:
    assert pump.join(20)
    return pump.take()[0]


def finished(answering: Answering) -> str:
    text = ""
    while not answering.is_over:
        text += answering.advance()
    return text


def an_exchange() -> Exchange:
    return Exchange(id="e", conversation="c", started=1.0, task="t")


def test_events_are_kept_until_they_are_taken() -> None:
    pump = Pump(lambda _: ScriptedGenerator([["a", "b"]]).stream(REQUEST))
    pump.start()
    assert "".join(event.text for event in taken(pump) if isinstance(event, Token)) == "ab"
    assert pump.take() == ([], True)


def test_an_error_while_the_request_is_opened_is_an_event() -> None:
    def refuse(_: object) -> EventStream:
        raise GeneratorLostError("gone")

    pump = Pump(refuse)
    pump.start()
    [event] = taken(pump)
    assert isinstance(event, Failed)


def test_a_bug_is_raised_where_the_events_are_taken() -> None:
    def stumble(_: object) -> EventStream:
        raise ZeroDivisionError

    pump = Pump(stumble)
    pump.start()
    pump.join(20)
    with pytest.raises(ZeroDivisionError):
        pump.take()


def test_what_opening_waits_for_is_reported() -> None:
    def open_slowly(report: object) -> EventStream:
        assert callable(report)
        report(Loading(stage="fetching"))
        return ScriptedGenerator([["a"]]).stream(REQUEST)

    pump = Pump(open_slowly)
    pump.start()
    assert taken(pump)[0] == Loading(stage="fetching")


def test_a_stop_before_the_request_is_open_ends_it_all_the_same() -> None:
    opening, held = threading.Event(), Held()

    def open_late(_: object) -> EventStream:
        assert opening.wait(20)
        return held

    pump = Pump(open_late)
    pump.start()
    pump.stop()
    opening.set()
    assert pump.join(20)


def test_showing_takes_at_most_a_tenth_of_the_time() -> None:
    assert pause_for(0.0) == SHORTEST_PAUSE_S
    assert pause_for(0.05) == pytest.approx(0.5)
    assert pause_for(10.0) == LONGEST_PAUSE_S


def test_an_answer_that_is_stopped_keeps_what_came() -> None:
    answering = Answering(lambda _: Held(), REQUEST, an_exchange())
    while not answering.has_text:
        answering.advance()
    answering.stop()
    finished(answering)
    assert (answering.exchange.answer, answering.exchange.outcome) == ("half", Outcome.CANCELLED)


def test_an_answer_that_is_abandoned_keeps_what_came() -> None:
    answering = Answering(lambda _: Held(), REQUEST, an_exchange())
    while not answering.has_text:
        answering.advance()
    assert answering.abandon().answer == "half"


def test_a_partial_answer_is_offered_to_the_history_once_a_second() -> None:
    now = [0.0]
    answering = Answering(lambda _: Held(), REQUEST, an_exchange(), now=lambda: now[0])
    while not answering.has_text:
        answering.advance()
    assert answering.find_checkpoint() is None
    now[0] = 1.5
    checkpoint = answering.find_checkpoint()
    assert checkpoint is not None
    assert (checkpoint.answer, checkpoint.outcome) == ("half", Outcome.UNFINISHED)
    assert answering.find_checkpoint() is None
    answering.abandon()


def test_progress_says_what_is_waited_for_and_then_counts() -> None:
    answering = Answering(lambda _: ScriptedGenerator([["a", "b"]]), REQUEST, an_exchange())
    assert answering.progress().stage
    finished(answering)
    assert (answering.progress().stage, answering.progress().tokens) == ("", 2)


def a_chat(*replies: list[str] | AssistantError) -> tuple[Chat, ScriptedGenerator, list[Exchange]]:
    generator, saved = ScriptedGenerator(replies), list[Exchange]()
    return Chat(Config(), lambda _: generator, saved.append), generator, saved


def answer(chat: Chat) -> Exchange:
    while True:
        chat.advance()
        exchange = chat.end_answer()
        if exchange is not None:
            return exchange


def test_an_exchange_is_saved_when_it_is_sent_and_when_it_has_ended() -> None:
    chat, _, saved = a_chat(["x = 1"])
    chat.ask("t", "")
    assert [exchange.outcome for exchange in saved] == [Outcome.UNFINISHED]
    answer(chat)
    assert [exchange.outcome for exchange in saved] == [Outcome.UNFINISHED, Outcome.STOP]
    assert saved[0].id == saved[1].id


def test_a_follow_up_takes_the_earlier_exchange_along() -> None:
    chat, generator, _ = a_chat(["x = 1"])
    for task in ("first", "second"):
        chat.ask(task, "")
        answer(chat)
    assert [turn.text for turn in generator.requests[-1].turns] == ["first", "x = 1", "second"]


def test_asking_again_takes_a_new_seed_and_some_temperature() -> None:
    chat, generator, _ = a_chat(["x = 1"])
    chat.ask("t", "i")
    first = answer(chat)
    chat.ask_again(first)
    again = answer(chat)
    assert (again.task, again.input, again.variant_of) == ("t", "i", first.id)
    assert generator.requests[-1].sampling.temperature == FRESH_TEMPERATURE
    assert generator.requests[-1].sampling.seed is not None


def test_a_chosen_temperature_is_kept_when_asking_again() -> None:
    chat, generator, _ = a_chat(["x = 1"])
    chat.sampling = Sampling(temperature=0.3)
    chat.ask_again(an_exchange())
    answer(chat)
    assert generator.requests[-1].sampling.temperature == 0.3


def test_closing_keeps_a_partial_answer() -> None:
    saved: list[Exchange] = []
    chat = Chat(Config(), lambda _: Held(), saved.append)
    chat.ask("t", "")
    while not chat.advance():
        pass
    chat.close()
    assert (saved[-1].answer, saved[-1].outcome) == ("half", Outcome.CANCELLED)


def test_a_task_that_no_request_can_hold_is_refused_before_it_is_sent() -> None:
    chat, _, _ = a_chat(["x"])
    assert "limit" in chat.find_fault("t", "x" * 5_000_000)
    assert chat.find_fault("t", "x" * 1000) == ""
