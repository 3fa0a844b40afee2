from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.engine.slots import SlotTable

CHUNK = 4


def fill(table: SlotTable, prompt: list[int]) -> int:
    taken = table.take(prompt)
    table.add_prompt(taken.slot, prompt[taken.shared :])
    return taken.slot


def test_an_unknown_prompt_shares_nothing() -> None:
    taken = SlotTable(2, CHUNK).take([1, 2, 3])
    assert taken.shared == 0
    assert taken.source == taken.slot


def test_a_repeated_prompt_takes_its_old_slot_and_computes_its_last_chunk() -> None:
    table = SlotTable(3, CHUNK)
    prompt = list(range(10))
    slot = fill(table, prompt)
    table.release(slot)
    taken = table.take(prompt)
    assert (taken.slot, taken.source, taken.shared) == (slot, slot, 8)


def test_at_least_one_token_is_computed() -> None:
    table = SlotTable(2, CHUNK)
    prompt = list(range(8))
    table.release(fill(table, prompt))
    assert table.take(prompt).shared == 4


def test_a_busy_slot_lends_its_beginning() -> None:
    table = SlotTable(2, CHUNK)
    busy = fill(table, list(range(10)))
    taken = table.take([*range(9), 99, 98])
    assert (taken.source, taken.shared) == (busy, 8)
    assert taken.slot != busy


def test_a_forgotten_slot_lends_nothing() -> None:
    table = SlotTable(1, CHUNK)
    slot = fill(table, list(range(10)))
    table.forget(slot)
    table.release(slot)
    assert table.take(list(range(10))).shared == 0


def test_single_tokens_are_shared_where_they_can_be() -> None:
    table = SlotTable(2, 1)
    busy = fill(table, list(range(10)))
    taken = table.take([*range(7), 99, 98])
    assert (taken.source, taken.shared) == (busy, 7)


def test_a_long_conversation_is_not_lost_to_a_short_beginning() -> None:
    table = SlotTable(2, 1)
    long = fill(table, list(range(20)))
    table.release(long)
    taken = table.take([0, 1, 2, 99])
    assert (taken.source, taken.shared) == (long, 3)
    assert taken.slot != long
    assert table.take(list(range(21))).shared == 20


def test_the_only_free_slot_is_taken_whatever_it_holds() -> None:
    table = SlotTable(1, 1)
    table.release(fill(table, list(range(20))))
    assert table.take([0, 1, 2, 99]).shared == 3


def test_what_another_has_computed_meanwhile_is_shared() -> None:
    table = SlotTable(2, 1)
    first, second = table.take([1, 2, 3, 4]).slot, table.take([1, 2, 3, 9, 9]).slot
    assert table.share_more(second, [1, 2, 3, 9, 9]) is None
    table.add_prompt(first, [1, 2, 3, 4])
    more = table.share_more(second, [1, 2, 3, 9, 9])
    assert more is not None
    assert (more.source, more.shared) == (first, 3)
    table.add_prompt(second, [9, 9])
    assert table.share_more(second, [1, 2, 3, 9, 9]) is None


def test_an_answer_is_shared_with_the_next_turn() -> None:
    table = SlotTable(1, 1)
    table.release(fill(table, [1, 2, 3]), [1, 2, 3, 4, 5])
    assert table.take([1, 2, 3, 4, 5, 6]).shared == 5


def test_an_answer_is_not_shared_where_only_chunks_are() -> None:
    table = SlotTable(1, CHUNK)
    table.release(fill(table, [1, 2, 3, 4, 5]), [1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert table.take([1, 2, 3, 4, 5, 6, 7, 8, 9]).shared == 4


def test_a_slot_that_failed_lends_nothing_of_its_answer() -> None:
    table = SlotTable(1, 1)
    slot = fill(table, [1, 2, 3])
    table.forget(slot)
    table.release(slot, [1, 2, 3, 4])
    assert table.take([1, 2, 3, 4, 5]).shared == 0


def test_a_network_without_prefixes_shares_nothing() -> None:
    table = SlotTable(1, 0)
    table.release(fill(table, list(range(10))))
    assert table.take(list(range(10))).shared == 0


@pytest.mark.parametrize("unit", [1, CHUNK])
@given(prompts=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=14), min_size=1, max_size=25))
def test_what_is_shared_is_what_the_slot_holds(prompts: list[list[int]], unit: int) -> None:
    table = SlotTable(3, unit)
    held: dict[int, list[int]] = {0: [], 1: [], 2: []}
    busy: list[int] = []
    for number, prompt in enumerate(prompts):
        if len(busy) == 3 or (busy and number % 3 == 0):
            table.release(busy.pop(0))
        taken = table.take(prompt)
        assert taken.slot not in busy
        assert taken.shared % unit == 0
        assert taken.shared < len(prompt)
        assert held[taken.source][: taken.shared] == prompt[: taken.shared]
        held[taken.slot] = list(prompt)
        table.add_prompt(taken.slot, prompt[taken.shared :])
        busy.append(taken.slot)
