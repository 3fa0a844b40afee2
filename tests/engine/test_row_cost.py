from __future__ import annotations

import pytest

from assistant.engine.lookup import ROW_COST
from assistant.engine.row_cost import HIGHEST, RowCost


@pytest.mark.parametrize("share", [0.05, 0.4])
def test_the_cost_of_a_row_is_learnt_from_steps_with_as_many_threads(share: float) -> None:
    cost = RowCost()
    for rows in [1, 4, 2, 8] * 30:
        for threads, single in ((1, 0.02), (2, 0.01)):
            cost.note(rows, threads, single * (1 + share * (rows - 1)))
    assert cost.share == pytest.approx(share, rel=0.05)


def test_nothing_is_learnt_before_a_step_with_one_row() -> None:
    cost = RowCost()
    cost.note(8, 1, 0.1)
    assert cost.share == ROW_COST


def test_a_step_that_was_disturbed_says_little() -> None:
    cost = RowCost()
    cost.note(1, 1, 0.01)
    cost.note(2, 1, 100.0)
    assert cost.share < ROW_COST + 0.1 * HIGHEST
    cost.note(2, 1, 0.0001)
    assert cost.share > 0
