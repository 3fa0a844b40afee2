from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence

import pytest
from fake_evaluation import SeededGenerator, number_for, reply_for

from assistant.errors import (
    AssistantError,
    ContextOverflowError,
    GeneratorBusyError,
    GeneratorError,
    GeneratorLostError,
    OutOfMemoryError,
)
from assistant.evaluation import generating
from assistant.evaluation.answers import OVERFLOW, Reply
from assistant.evaluation.generating import Asking, find_groups, find_seed, stream_replies
from assistant.evaluation.problems import Problem
from assistant.generator import EventStream, TextGenerator
from assistant.requests import Event, Loading, Request, Sampling

PROBLEMS = [Problem(id=f"p{number}", task=f"task {number}", tests=("assert f()",)) for number in range(6)]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(generating, "BUSY_PAUSE_S", 0.0)


def build_asking(generator: TextGenerator, *, temperature: float = 0.0, slots: int = 4) -> Asking:
    sampling = Sampling(temperature=temperature, max_tokens=64)
    return Asking(generator=generator, find_slots=lambda: slots, sampling=sampling, model="m", seed=0)


def ask(
    generator: TextGenerator,
    *,
    samples: int = 1,
    done: Sequence[tuple[str, int]] = (),
    slots: int = 4,
    largest: int = 16,
) -> dict[tuple[str, int], Reply]:
    groups = find_groups(PROBLEMS, samples, done, largest=largest)
    asking = build_asking(generator, temperature=0.8 if samples > 1 else 0.0, slots=slots)
    replies = [one for one in stream_replies(groups, asking) if isinstance(one, Reply)]
    assert len(replies) == len({reply.key for reply in replies})
    return {reply.key: reply for reply in replies}


def test_every_problem_is_answered_once() -> None:
    generator = SeededGenerator()
    replies = ask(generator)
    assert sorted(replies) == [(problem.id, 0) for problem in PROBLEMS]
    assert replies["p3", 0].reply == reply_for("task 3", 0)
    assert replies["p3", 0].tokens == 7
    assert {request.model for request in generator.requests} == {"m"}


def test_a_finish_is_told() -> None:
    replies = ask(SeededGenerator())
    for problem in PROBLEMS:
        is_cut = number_for(problem.task, 0) % 3 == 0
        assert replies[problem.id, 0].finish == ("length" if is_cut else "stop")


def test_several_answers_come_of_one_request_each_with_its_own_seed() -> None:
    generator = SeededGenerator()
    replies = ask(generator, samples=8)
    assert len(replies) == 48
    assert [request.sampling.n for request in generator.requests] == [8] * 6
    seed = find_seed("p1", 0)
    assert [replies["p1", number].seed for number in range(8)] == list(range(seed, seed + 8))
    assert replies["p1", 5].reply == reply_for("task 1", seed + 5)


def test_an_answer_is_the_same_whatever_else_is_asked_for() -> None:
    whole = ask(SeededGenerator(), samples=8)
    done = [key for key in whole if key[1] in (0, 3, 4, 7)]
    rest = ask(SeededGenerator(), samples=8, done=done)
    single = ask(SeededGenerator(), samples=8, largest=1)
    assert rest.keys() == whole.keys() - set(done)
    assert all(
        whole[key].reply == reply.reply and whole[key].seed == reply.seed for key, reply in rest.items()
    )
    assert {key: reply.reply for key, reply in single.items()} == {k: r.reply for k, r in whole.items()}


def test_more_answers_than_a_request_may_have_take_several() -> None:
    generator = SeededGenerator()
    assert len(ask(generator, samples=20)) == 120
    assert sorted({request.sampling.n for request in generator.requests}) == [4, 16]


def test_other_seeds_give_other_answers() -> None:
    assert find_seed("p1", 0) != find_seed("p1", 1)
    assert find_seed("p1", 0) != find_seed("p2", 0)


class Gate(SeededGenerator):
    """Lets no request but the first begin before so many others want to."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self._barrier = threading.Barrier(wanted)
        self._is_open = threading.Event()

    def stream(self, request: Request) -> EventStream:
        if self.requests and not self._is_open.is_set():
            self._barrier.wait(10)
            self._is_open.set()
        return super().stream(request)


def test_as_many_requests_as_there_are_slots_run_at_once() -> None:
    assert len(ask(Gate(4), slots=4)) == 6


def test_never_more_requests_run_than_there_are_slots() -> None:
    generator = SeededGenerator(pause_s=0.002)
    ask(generator, slots=2)
    assert 1 <= generator.most_running <= 2


def test_a_busy_generator_is_asked_again() -> None:
    generator = SeededGenerator(failures=[GeneratorBusyError("full")] * 5)
    assert len(ask(generator)) == 6


def test_a_generator_that_went_away_is_asked_again_and_not_for_ever() -> None:
    assert len(ask(SeededGenerator(failures=[GeneratorLostError("gone")] * 2))) == 6
    with pytest.raises(GeneratorLostError):
        ask(SeededGenerator(failures=[GeneratorLostError("gone")] * 3), slots=1)


@pytest.mark.parametrize("error", [OutOfMemoryError("no room"), GeneratorError("no model")])
def test_another_failure_ends_it(error: AssistantError) -> None:
    with pytest.raises(type(error)):
        ask(SeededGenerator(failures=[error]))


def test_a_problem_longer_than_the_context_is_answered_with_nothing() -> None:
    generator = SeededGenerator(failures=[ContextOverflowError("too long")])
    replies = ask(generator)
    assert [reply.finish for reply in replies.values()].count(OVERFLOW) == 1
    assert len(replies) == 6


class Stuck(SeededGenerator):
    """Answers the first request and no other."""

    def __init__(self, wanted: int) -> None:
        super().__init__(pause_s=0.0)
        self._wanted = wanted
        self.is_full = threading.Event()

    def stream(self, request: Request) -> EventStream:
        if self.requests:
            self._pause_s = 60.0
        stream = super().stream(request)
        if self.running == self._wanted:
            self.is_full.set()
        return stream


def test_closing_stops_what_runs() -> None:
    generator = Stuck(3)
    replies = stream_replies(find_groups(PROBLEMS, 1, (), largest=1), build_asking(generator, slots=3))
    next(replies)
    assert generator.is_full.wait(10)
    replies.close()
    assert (generator.running, generator.closed) == (0, 3)


class Announced(SeededGenerator):
    """Says that it loads before each answer."""

    def stream(self, request: Request) -> EventStream:
        return AnnouncedStream(super().stream(request))


class AnnouncedStream:
    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._events = itertools.chain([Loading(stage="loading the model")], stream)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        self._stream.close()


def test_what_is_waited_for_is_told() -> None:
    groups = find_groups(PROBLEMS[:1], 1, (), largest=1)
    arrivals = list(stream_replies(groups, build_asking(Announced())))
    assert [type(one).__name__ for one in arrivals] == ["Loading", "Reply"]
