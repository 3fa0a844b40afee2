from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import UsageError
from finetune.training.options import TrainOptions, build_options
from finetune.training.plan import build_plan, find_micro_batch, pack_rows

LENGTHS = [10 + number * 7 % 90 for number in range(50)]


def options(**values: object) -> TrainOptions:
    return build_options(sets=[f"{name}={value}" for name, value in values.items()])


def padding(plan_steps: list[list[list[int]]]) -> int:
    batches = [[LENGTHS[one] for one in micro] for step in plan_steps for micro in step]
    return sum(max(batch) * len(batch) - sum(batch) for batch in batches)


def test_every_row_comes_once_in_each_epoch() -> None:
    plan = build_plan(LENGTHS, options(batch_size=10, epochs=2), 5)
    seen = Counter(itertools.chain(*itertools.chain(*plan.steps)))
    assert len(plan.steps) == 10
    assert set(seen.values()) == {2}
    assert plan.epoch_steps == 5


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.booleans())
def test_no_row_comes_twice_in_a_step_nor_a_third_time_before_all_came_twice(
    count: int, batch: int, group: bool
) -> None:
    batch = min(batch, count)
    chosen = options(batch_size=batch, epochs=3, group_by_length=str(group).lower())
    steps = [[*itertools.chain(*step)] for step in build_plan([10] * count, chosen, batch).steps]
    assert all(len(set(step)) == len(step) == batch for step in steps)
    seen = Counter(itertools.chain(*steps))
    assert set(range(count)) == set(seen)
    assert max(seen.values()) - min(seen.values()) <= 1


def test_two_processes_see_in_a_step_what_one_does() -> None:
    plan = build_plan(LENGTHS, options(batch_size=8), 2)
    alone = plan.batches(0, 1)
    shared = [plan.batches(rank, 2) for rank in (0, 1)]
    for step in range(len(plan.steps)):
        together = shared[0][2 * step : 2 * step + 2] + shared[1][2 * step : 2 * step + 2]
        assert sorted(together) == sorted(alone[4 * step : 4 * step + 4])


def test_the_size_of_a_micro_batch_changes_no_step() -> None:
    def rows(micro: int) -> list[list[int]]:
        return [[*itertools.chain(*step)] for step in build_plan(LENGTHS, options(batch_size=8), micro).steps]

    assert rows(1) == rows(2) == rows(8)


def test_grouping_by_length_saves_most_of_the_padding() -> None:
    grouped = build_plan(LENGTHS, options(batch_size=8), 8)
    random = build_plan(LENGTHS, options(batch_size=8, group_by_length="false"), 8)
    assert padding(grouped.steps) < padding(random.steps) / 3


def test_the_order_depends_on_the_seed_alone() -> None:
    assert build_plan(LENGTHS, options(), 4) == build_plan(LENGTHS, options(), 4)
    assert build_plan(LENGTHS, options(), 4) != build_plan(LENGTHS, options(seed=1), 4)


def test_tokens_of_a_step_are_counted_without_padding() -> None:
    plan = build_plan(LENGTHS, options(batch_size=10, epochs=1), 10)
    assert sum(plan.tokens) == sum(LENGTHS)


def test_five_rows_are_too_few_for_a_step_of_sixteen() -> None:
    with pytest.raises(UsageError, match="a step takes 16 rows and there are 5") as caught:
        build_plan([10] * 5, options(), 4)
    assert "batch_size=1" in caught.value.hint


@pytest.mark.parametrize(("most", "found"), [(8, 8), (6, 4), (1, 1), (99, 16)])
def test_a_micro_batch_divides_a_step(most: int, found: int) -> None:
    assert find_micro_batch(16, 1, most) == found


def test_processes_that_cannot_share_a_step_are_refused() -> None:
    with pytest.raises(UsageError, match="3 processes cannot share steps of 16 rows") as caught:
        find_micro_batch(16, 3, 8)
    assert "batch_size=18" in caught.value.hint


@settings(deadline=None)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=200))
def test_packs_hold_every_row_once_and_none_is_too_long(lengths: list[int]) -> None:
    packs = pack_rows(lengths, 100)
    assert sorted(itertools.chain(*packs)) == list(range(len(lengths)))
    sizes = [sum(lengths[row] for row in pack) for pack in packs]
    assert max(sizes) <= 100
    assert len(packs) <= 2 * sum(lengths) / 100 + 1
