"""Answers while they come: loading, following, stopping, waiting, failing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from opened_chat import CODE, SOURCE, OpenedChat, play

from assistant.config import Config, HistorySettings
from assistant.errors import GeneratorLostError, ModelError, StorageError
from assistant.generator import EventStream
from assistant.history.records import Exchange, Outcome
from assistant.requests import Done, Event, Failed, FinishReason, Loading, Request, Started, Token, Usage
from tui.reading import Reading, read_answer
from tui.services import Report
from tui.widgets.transcript import MOUNTED_AT_MOST, Transcript


class Stepped:
    """A generator that goes on when it is told to."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._changed = threading.Condition()
        self.closed = False

    def stream(self, request: Request) -> EventStream:
        return self

    def say(self, *events: Event) -> None:
        with self._changed:
            self._events += events
            self._changed.notify_all()

    def end(self) -> None:
        usage = Usage(prompt_tokens=3, completion_tokens=5)
        reasons = (FinishReason.STOP,)
        self.say(Done(finish_reasons=reasons, usage=usage, model="smol", tokens_per_s=12.5, seconds=0.4))

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        with self._changed:
            assert self._changed.wait_for(lambda: self._events or self.closed, 30)
            if self.closed:
                raise StopIteration
            return self._events.pop(0)

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()


def transcript_of(opened: OpenedChat) -> Transcript:
    return opened.app.chat_screen.query_one(Transcript)


def test_loading_speed_and_end_are_shown() -> None:
    generator = Stepped()

    async def run(opened: OpenedChat) -> None:
        await opened.type("add")
        await opened.press("enter")
        generator.say(Loading(stage="loading weights", fraction=0.5))
        await opened.until_shown("loading weights ━━━━━━────── 50%")
        generator.say(Started(request_id="1", model="smol"), Token(text="x = 1\n"), Token(text="y = 2\n"))
        await opened.until_shown("y = 2")
        await opened.until_shown("2 tokens · ")
        assert "Esc stops" in opened.shown()
        generator.end()
        await opened.until_answered()
        await opened.until_shown("parses · smol · 5 tokens · 12.5 tok/s")

    play(OpenedChat(generator=generator), run)


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
def test_stopping_keeps_what_came_and_brings_the_task_back(key: str) -> None:
    generator = Stepped()

    async def run(opened: OpenedChat) -> None:
        await opened.type("add")
        await opened.press("enter")
        generator.say(Token(text="x = 1\n"))
        await opened.until_shown("x = 1")
        await opened.press(key)
        await opened.until_answered()
        await opened.until_shown("stopped · parses")
        assert opened.prompt().text == "add"

    opened = play(OpenedChat(generator=generator), run)
    assert generator.closed
    assert (opened.saved[-1].answer, opened.saved[-1].outcome) == ("x = 1\n", Outcome.CANCELLED)


def test_ctrl_c_goes_down_the_ladder_one_rung_at_a_time() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("add")
        await opened.type("half")
        await opened.press("ctrl+c")
        await opened.until(lambda: opened.prompt().text == "")
        assert opened.app.is_running
        await opened.press("ctrl+c")
        await opened.until_shown("press Ctrl+C again")
        assert opened.app.is_running
        await opened.press("ctrl+c")
        await opened.until(lambda: not opened.app.is_running)

    play(OpenedChat(), run)


def test_ctrl_c_copies_a_selection_before_anything_else() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.type("half")
        opened.prompt().select_all()
        await opened.press("ctrl+c")
        await opened.until(lambda: opened.app.clipboard == "half")
        assert opened.prompt().text == "half"

    play(OpenedChat(), run)


def test_what_ctrl_c_cleared_is_recalled_by_up() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.type("half")
        await opened.press("ctrl+c")
        await opened.until(lambda: opened.prompt().text == "")
        await opened.press("up")
        assert opened.prompt().text == "half"

    play(OpenedChat(), run)


def test_ctrl_d_deletes_to_the_right_and_quits_where_nothing_is() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.type("ab")
        await opened.press("home", "ctrl+d")
        assert opened.prompt().text == "b"
        await opened.press("ctrl+d")
        assert opened.app.is_running
        await opened.press("ctrl+d")
        await opened.until(lambda: not opened.app.is_running)

    play(OpenedChat(), run)


def test_a_task_sent_meanwhile_waits_for_the_end() -> None:
    generator = Stepped()

    async def run(opened: OpenedChat) -> None:
        await opened.type("one")
        await opened.press("enter")
        generator.say(Token(text="x = 1\n"))
        await opened.until_shown("x = 1")
        await opened.type("two")
        await opened.press("enter")
        await opened.until_shown("one task waits")
        generator.end()
        await opened.until(lambda: len(opened.views()) == 2)
        generator.say(Token(text="y = 2\n"))
        generator.end()
        await opened.until_answered()

    opened = play(OpenedChat(generator=generator), run)
    assert [exchange.task for exchange in opened.saved if exchange.outcome is Outcome.STOP] == ["one", "two"]


def test_a_task_that_waits_comes_back_when_the_answer_is_stopped() -> None:
    generator = Stepped()

    async def run(opened: OpenedChat) -> None:
        await opened.type("one")
        await opened.press("enter")
        await opened.type("two")
        await opened.press("enter")
        await opened.press("escape")
        await opened.until_answered()
        assert opened.prompt().text == "two"
        await opened.press("up", "up")
        assert opened.prompt().text == "one"

    play(OpenedChat(generator=generator), run)


def test_a_task_that_is_sent_while_the_end_is_taken_in_cuts_nothing_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent = threading.Event()

    def read_late(answer: str) -> Reading:
        assert not answer or sent.wait(30)
        return read_answer(answer)

    monkeypatch.setattr("tui.widgets.exchange_view.read_answer", read_late)

    async def run(opened: OpenedChat) -> None:
        await opened.type("one")
        await opened.press("enter")
        await opened.until(lambda: len(opened.saved) == 2)
        opened.app.chat_screen.ask("two", "")
        sent.set()
        await opened.until_answered()
        assert opened.shown().count("parses · ") == 2

    play(OpenedChat([CODE, CODE]), run)


def test_the_reader_who_scrolled_up_is_left_there_and_sending_follows_again() -> None:
    generator = Stepped()

    async def run(opened: OpenedChat) -> None:
        await opened.type("one")
        await opened.press("enter")
        generator.say(Token(text="x = 1\n" * 100))
        transcript = transcript_of(opened)
        await opened.until(lambda: transcript.max_scroll_y > 50 and transcript.is_vertical_scroll_end)
        await opened.press("pageup")
        place = transcript.scroll_y
        assert not transcript.is_vertical_scroll_end
        height = transcript.max_scroll_y
        generator.say(Token(text="y = 2\n" * 50))
        await opened.until(lambda: transcript.max_scroll_y > height)
        assert transcript.scroll_y == place
        await opened.press("ctrl+end")
        await opened.until(lambda: transcript.is_vertical_scroll_end)
        await opened.press("ctrl+home")
        await opened.until(lambda: transcript.scroll_y < place)
        generator.end()
        await opened.until_answered()
        opened.app.chat_screen.ask("two", "")
        await opened.until(lambda: transcript.is_vertical_scroll_end)
        generator.end()
        await opened.until_answered()

    play(OpenedChat(generator=generator), run)


def test_a_window_that_changes_its_size_meanwhile_shows_the_whole_answer() -> None:
    generator = Stepped()

    async def run(opened: OpenedChat) -> None:
        await opened.type("one")
        await opened.press("enter")
        for width in (20, 200, 60):
            generator.say(Token(text=f"width = {width}\n"))
            await opened.pilot.resize_terminal(width, 24)
            await opened.until_shown(f"width = {width}")
        generator.end()
        await opened.until_answered()
        assert "width = 20\n" in opened.views()[0].reading.code

    play(OpenedChat(generator=generator), run)


def test_only_the_last_exchanges_are_on_the_screen_and_earlier_ones_come_back() -> None:
    async def run(opened: OpenedChat) -> None:
        session = opened.app.chat.session
        await opened.app.chat_screen.resume(
            [
                Exchange(id=str(n), conversation="c", started=float(n), task=f"task {n}", answer=SOURCE)
                for n in range(45)
            ]
        )
        assert session is not opened.app.chat.session
        assert len(opened.views()) == MOUNTED_AT_MOST
        assert opened.views()[-1].exchange.task == "task 44"
        await opened.ask("one more")
        assert len(opened.views()) == MOUNTED_AT_MOST
        more = opened.app.chat_screen.query_one("#more")
        assert more.display
        more.focus()
        await opened.press("enter")
        await opened.until(lambda: len(opened.views()) == MOUNTED_AT_MOST + 10)

    play(OpenedChat(), run)


def test_an_answer_without_code_says_so() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("talk")
        await opened.until_shown("no code")

    play(OpenedChat([["I cannot do that, sorry.\n"]]), run)


def test_an_answer_of_nothing_says_so() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("talk")
        await opened.until_shown("answered with nothing")

    play(OpenedChat([[]]), run)


def test_code_that_does_not_parse_is_shown_with_the_reason() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.ask("x")
        await opened.until_shown("does not parse")

    play(OpenedChat([["```python\ndef f(:\n    pass\n```\n"]]), run)


def test_a_generator_that_dies_in_the_middle_leaves_the_text_and_can_be_asked_again() -> None:
    generator = Stepped()

    async def run(opened: OpenedChat) -> None:
        await opened.type("one")
        await opened.press("enter")
        generator.say(
            Token(text="x = 1\n"), Failed(error=GeneratorLostError("the generator ended", hint="ask again"))
        )
        await opened.until_answered()
        await opened.until_shown("x = 1")
        await opened.until_shown("the generator ended")
        await opened.press("ctrl+r")
        await opened.until(lambda: len(opened.views()) == 2)
        generator.say(Token(text="x = 2\n"))
        generator.end()
        await opened.until_answered()
        await opened.until_shown("x = 2")

    opened = play(OpenedChat(generator=generator), run)
    assert "x = 1\n" in [exchange.answer for exchange in opened.saved]


def test_closing_in_the_middle_keeps_the_partial_answer() -> None:
    generator = Stepped()

    async def run(opened: OpenedChat) -> None:
        await opened.type("one")
        await opened.press("enter")
        generator.say(Token(text="x = 1\n"))
        await opened.until_shown("x = 1")
        await opened.press("ctrl+q")

    opened = play(OpenedChat(generator=generator), run)
    assert (opened.saved[-1].answer, opened.saved[-1].outcome) == ("x = 1\n", Outcome.CANCELLED)


def test_the_generator_is_brought_up_while_the_user_types() -> None:
    loaded = threading.Event()

    def prepare(report: Report, cancelled: threading.Event) -> str:
        report(Loading(stage="loading smol", fraction=0.25))
        assert loaded.wait(30)
        return "smol"

    async def run(opened: OpenedChat) -> None:
        await opened.until_shown("loading smol ━━━───────── 25%")
        await opened.type("half")
        assert opened.prompt().text == "half"
        loaded.set()
        await opened.until_shown("smol · t 0")
        await opened.until_shown("ready")

    play(OpenedChat(prepare=prepare), run)


def test_a_missing_model_is_said_and_the_chat_stays_usable() -> None:
    def prepare(report: Report, cancelled: threading.Event) -> str:
        raise ModelError("there is no model", hint="assistant models pull")

    async def run(opened: OpenedChat) -> None:
        await opened.until_shown("there is no model · assistant models pull")
        await opened.ask("add")
        await opened.until_shown("return a + b")

    play(OpenedChat(prepare=prepare), run)


def test_two_thousand_tokens_a_second_arrive_whole() -> None:
    lines = [f"x{number} = {number}\n" for number in range(4000)]

    async def run(opened: OpenedChat) -> None:
        await opened.ask("many")
        await opened.until_shown("x3999 = 3999")

    opened = play(OpenedChat([lines]), run)
    assert opened.saved[-1].answer == "".join(lines)


def test_a_history_that_fails_costs_a_warning_and_no_answer() -> None:
    async def run(opened: OpenedChat) -> None:
        opened.app.report_history(StorageError("no space left"))
        await opened.ask("add")
        await opened.until_shown("no space left")
        await opened.until_shown("return a + b")

    play(OpenedChat(), run)


def test_with_the_history_off_there_is_no_list() -> None:
    async def run(opened: OpenedChat) -> None:
        await opened.press("ctrl+l")
        await opened.until_shown("the history is off")

    play(OpenedChat(config=Config(history=HistorySettings(keep="off"))), run)


def test_an_error_of_ours_in_the_generator_is_never_swallowed() -> None:
    class Buggy:
        def stream(self, request: Request) -> EventStream:
            raise ZeroDivisionError

    async def run(opened: OpenedChat) -> None:
        opened.app.chat_screen.ask("t", "")
        await asyncio.sleep(0)
        await opened.until(lambda: not opened.app.is_running)

    with pytest.raises(Exception, match="ZeroDivisionError"):
        play(OpenedChat(generator=Buggy()), run)
