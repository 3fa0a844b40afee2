from __future__ import annotations

import random
from collections import Counter

import pytest

from assistant.engine.threads import LATEST, SOONEST, TRIAL, ThreadChoice, list_options


def run(choice: ThreadChoice, seconds: dict[int, float], steps: int, rows: int = 1) -> Counter[int]:
    """Decode with steps that take so long by threads, give or take a tenth."""
    chance = random.Random(1)
    chosen: Counter[int] = Counter()
    for _ in range(steps):
        threads = choice.choose(rows)
        chosen[threads] += 1
        choice.note(rows, seconds[threads] * chance.uniform(0.9, 1.1))
    return chosen


@pytest.mark.parametrize(("cores", "options"), [(1, (1,)), (2, (1, 2)), (4, (3, 4, 2)), (8, (7, 8, 4))])
def test_one_less_than_the_cores_all_and_half_of_them_are_tried(cores: int, options: tuple[int, ...]) -> None:
    assert list_options(cores) == options


def test_a_number_that_was_set_stays() -> None:
    assert run(ThreadChoice((3,)), {3: 1.0}, 1000) == {3: 1000}


def test_the_usual_number_begins() -> None:
    assert run(ThreadChoice((1, 2)), {1: 1.0, 2: 0.5}, SOONEST) == {1: SOONEST}


@pytest.mark.parametrize("best", [7, 8, 4])
def test_the_fastest_is_found(best: int) -> None:
    choice = ThreadChoice((7, 8, 4))
    seconds = {threads: 0.6 if threads == best else 1.0 for threads in (7, 8, 4)}
    run(choice, seconds, 400)
    assert run(choice, seconds, 400)[best] > 350


def test_a_number_that_does_not_pay_is_tried_ever_more_seldom() -> None:
    choice = ThreadChoice((1, 2))
    run(choice, {1: 1.0, 2: 5.0}, 4000)
    assert run(choice, {1: 1.0, 2: 5.0}, LATEST)[2] <= TRIAL


def test_steps_that_get_slow_go_back_at_once() -> None:
    choice = ThreadChoice((1, 2))
    run(choice, {1: 1.0, 2: 0.6}, 200)
    assert choice.choose(1) == 2
    beside_another = {1: 1.1, 2: 4.0}
    assert run(choice, beside_another, 20)[2] <= 2 * TRIAL
    assert run(choice, beside_another, 2000)[2] < 60


def test_a_quiet_machine_is_noticed_again() -> None:
    choice = ThreadChoice((1, 2))
    run(choice, {1: 1.1, 2: 4.0}, 3000)
    run(choice, {1: 1.0, 2: 0.6}, 2 * LATEST)
    assert choice.choose(1) == 2


def test_steps_with_many_rows_are_another_matter() -> None:
    choice = ThreadChoice((1, 2))
    run(choice, {1: 1.0, 2: 2.0}, 300, rows=1)
    run(choice, {1: 8.0, 2: 4.5}, 300, rows=8)
    assert (choice.choose(1), choice.choose(8)) == (1, 2)


def test_a_size_that_is_new_begins_with_what_others_came_to() -> None:
    choice = ThreadChoice((1, 2))
    for _ in range(100):
        choice.note(1, 0.010 / choice.choose(1))
    assert choice.choose(1) == choice.choose(5) == 2


def test_one_step_that_takes_twice_as_long_is_enough_to_go_back() -> None:
    choice = ThreadChoice((1, 2))
    run(choice, {1: 0.010, 2: 0.006}, 200)
    assert choice.choose(1) == 2
    choice.note(1, 0.025)
    assert choice.choose(1) == 1


def test_a_trial_that_takes_twice_as_long_ends_with_its_first_step() -> None:
    taken = run(ThreadChoice((1, 2)), {1: 0.010, 2: 0.025}, 64)
    assert 1 <= taken[2] <= 4
