from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assistant.engine.lookup import LONGEST, ROW_COST, SHORTEST_MATCH, PromptLookup, choose_length


def test_what_followed_the_last_tokens_before_is_guessed() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 5, 6, 7, 9, 9, 1, 2, 3])
    lookup.push(4)
    assert lookup.guess(3) == [5, 6, 7]


def test_the_latest_place_counts() -> None:
    assert PromptLookup([1, 2, 3, 4, 5, 1, 2, 3, 4, 6, 1, 2, 3, 4]).guess(1) == [6]


def test_but_a_place_where_more_is_the_same_counts_more() -> None:
    assert PromptLookup([1, 2, 3, 4, 5, 9, 9, 3, 4, 6, 1, 2, 3, 4]).guess(1) == [5]


def test_text_that_never_occurred_is_not_guessed() -> None:
    assert PromptLookup(range(20)).guess(5) == []
    assert PromptLookup([1, 2]).guess(5) == []


def test_what_was_cut_off_is_not_guessed() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 1, 2])
    assert lookup.guess(5)[:1] == [3]
    lookup.cut(2)
    assert lookup.guess(5) == []


def test_the_more_is_the_same_the_longer_the_guess() -> None:
    lengths = [len(PromptLookup([*range(40), *range(match)]).guess(100)) for match in range(1, 12)]
    assert lengths[0] == 0 < lengths[1] < lengths[10] <= LONGEST
    assert lengths == sorted(lengths)


def test_guesses_get_shorter_where_they_fail_and_longer_where_they_hold() -> None:
    lookup = PromptLookup([*range(40), *range(4)])
    first = len(lookup.guess(100))
    lookup.note(first, 0)
    shorter = len(lookup.guess(100))
    assert shorter < first
    for _ in range(10):
        lookup.note(8, 8)
    assert len(lookup.guess(100)) > first


def test_guesses_that_fail_end_and_are_tried_again_later() -> None:
    lookup = PromptLookup([*range(40), *range(SHORTEST_MATCH)])
    tries = [len(lookup.guess(100)) for _ in range(40) if lookup.note(2, 0) is None]
    assert tries[-1] == 0
    assert any(lookup.guess(100) for _ in range(40))


@given(chance=st.floats(0, 1), beside=st.integers(0, 31))
def test_a_length_pays_for_itself(chance: float, beside: int) -> None:
    length = choose_length(chance, beside)
    assert 0 <= length <= LONGEST
    share = (1 + ROW_COST * beside) / (1 + beside)
    if length:  # the last guessed token saves more than its row costs
        assert share * chance**length > 0
        assert sum(chance**i for i in range(1, length + 1)) * share > ROW_COST * length * 0.99


def test_less_is_guessed_where_a_row_costs_more() -> None:
    lengths = [choose_length(0.8, 0, cost) for cost in (0.01, 0.2, 0.5, 1.0)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == LONGEST
    assert lengths[-1] == 0


def test_less_is_guessed_beside_others() -> None:
    assert choose_length(0.5, 0) > choose_length(0.5, 7) == 0
    assert choose_length(0.0, 0) == 0
    assert choose_length(1.0, 7) == LONGEST


@given(tokens=st.lists(st.integers(0, 3), max_size=60), room=st.integers(-1, 12))
def test_a_guess_is_a_piece_of_the_text_after_the_same_tokens(tokens: list[int], room: int) -> None:
    guess = PromptLookup(tokens).guess(room)
    assert len(guess) <= max(0, min(room, LONGEST))
    if guess:
        seen = [*tokens[-SHORTEST_MATCH:], *guess]
        assert any(tokens[i : i + len(seen)] == seen for i in range(len(tokens) - SHORTEST_MATCH))
