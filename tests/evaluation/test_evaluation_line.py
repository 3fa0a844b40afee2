from __future__ import annotations

import io

import pytest
from fake_evaluation import build_record

from assistant.commands.evaluations_line import TOLD_EVERY_S, EvaluationLine, render_left
from assistant.commands.messages import Messages
from assistant.commands.terminal import Screen
from assistant.evaluation.evaluating import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def build_line(clock: Clock, *, can_rewrite: bool) -> tuple[EvaluationLine, io.StringIO]:
    stream = io.StringIO()
    screen = Screen(is_terminal=can_rewrite, can_rewrite=can_rewrite)
    return EvaluationLine(Messages(stream, screen), build_record(), clock), stream


def progress(answered: int, judged: int, *, passed: int = 0, earlier: int = 0, stage: str = "") -> Progress:
    return Progress(stage=stage, answered=answered, judged=judged, passed=passed, total=100, earlier=earlier)


def test_the_time_left_follows_from_what_was_done_since_the_start() -> None:
    clock = Clock()
    line, _ = build_line(clock, can_rewrite=True)
    clock.now = 60.0
    assert line.render(progress(40, 38, passed=9, earlier=20)) == (
        "fake-model on suite [##########..............]  40% · 3 min left · 9 of 38 pass"
    )


def test_no_end_is_guessed_from_nothing() -> None:
    line, _ = build_line(Clock(), can_rewrite=True)
    assert "left" not in line.render(progress(20, 0, earlier=20))


def test_what_is_left_to_judge_is_said_when_all_is_answered() -> None:
    line, _ = build_line(Clock(), can_rewrite=True)
    assert line.render(progress(100, 97, passed=50)).endswith("50 of 97 pass · judging 3")


def test_what_is_waited_for_takes_the_place_of_numbers() -> None:
    line, _ = build_line(Clock(), can_rewrite=True)
    text = line.render(progress(0, 0, stage="loading the model"))
    assert text == "fake-model on suite · loading the model"


def test_a_terminal_is_redrawn_ten_times_a_second_at_most() -> None:
    clock = Clock()
    line, stream = build_line(clock, can_rewrite=True)
    for number in range(1, 50):
        clock.now = number * 0.01
        line.report(progress(number, 0))
    assert 3 <= stream.getvalue().count("fake-model") <= 5


def test_a_log_gets_a_line_a_minute() -> None:
    clock = Clock()
    line, stream = build_line(clock, can_rewrite=False)
    for number in range(1, 100):
        clock.now = number * TOLD_EVERY_S / 33
        line.report(progress(number, 0))
    assert len(stream.getvalue().splitlines()) == 3


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (300, "5 min"), (9000, "2.5 h")])
def test_a_duration_is_written_roughly(seconds: float, text: str) -> None:
    assert render_left(seconds) == text
