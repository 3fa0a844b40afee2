from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from finetune.cleaning.duplicates import build_clusters
from finetune.examples import Example, Place
from finetune.splitting import split_rows

Build = Callable[..., Example]


def rows_of(families: list[tuple[str, ...]]) -> list[Example]:
    return [
        Example(task=f"task {n}", code=f"x{n} = {n}", place=Place(file="d"), families=family)
        for n, family in enumerate(families)
    ]


def alone(count: int) -> list[int]:
    return list(range(count))


FAMILIES = st.lists(
    st.sampled_from([(), ("a.py", "a.py::f"), ("a.py", "a.py::g"), ("b.py", "b.py::f"), ("c.py", "c.py::f")]),
    min_size=1,
    max_size=40,
)


@given(families=FAMILIES, share=st.sampled_from([0.0, 0.05, 0.3]), seed=st.integers(0, 3))
def test_no_cluster_stands_on_both_sides(families: list[tuple[str, ...]], share: float, seed: int) -> None:
    rows = rows_of(families)
    split = split_rows(rows, alone(len(rows)), share=share, seed=seed)
    held = {split.clusters[number] for number in split.held_out}
    trained = {cluster for number, cluster in enumerate(split.clusters) if number not in split.held_out}
    assert not held & trained
    for number, row in enumerate(rows):
        for other in range(number):
            if set(row.families[split.family_level :]) & set(rows[other].families[split.family_level :]):
                assert split.clusters[number] == split.clusters[other]


@given(families=FAMILIES, share=st.floats(0.01, 0.5), seed=st.integers(0, 3))
def test_something_is_held_out_and_something_is_left(
    families: list[tuple[str, ...]], share: float, seed: int
) -> None:
    rows = rows_of(families)
    split = split_rows(rows, alone(len(rows)), share=share, seed=seed)
    assert len(split.held_out) < len(rows)
    assert bool(split.held_out) == (len(set(split.clusters)) > 1)


def test_the_same_seed_holds_out_the_same_rows_and_another_one_others() -> None:
    rows = rows_of([()] * 200)
    first, again, other = (split_rows(rows, alone(200), share=0.1, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.held_out != other.held_out
    assert len(first.held_out) == 20


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = rows_of([()] * 100)
    chosen = [
        {order[n].task for n in split_rows(order, alone(100), share=0.1, seed=0).held_out}
        for order in (rows, rows[::-1])
    ]
    assert chosen[0] == chosen[1]


def test_rows_with_near_code_stay_together(example: Build) -> None:
    code = "def total(values):\n    result = 0\n    for value in values:\n        result += value"
    rows = [example(f"t{n}", f"y{n} = {n}") for n in range(50)]
    rows += [example("a", code), example("b", code), example("c", code + "\n")]
    for seed in range(20):
        split = split_rows(rows, build_clusters(rows), share=0.1, seed=seed)
        assert len(split.held_out & {50, 51, 52}) in (0, 3)


def test_a_file_is_kept_whole_where_no_file_is_most_of_the_data() -> None:
    rows = rows_of([(f"{n % 10}.py", f"{n % 10}.py::{n}") for n in range(100)])
    assert split_rows(rows, alone(100), share=0.1, seed=0).family_level == 0


def test_one_large_file_is_divided_by_function() -> None:
    rows = rows_of([("a.py", f"a.py::{n // 2}") for n in range(100)])
    split = split_rows(rows, alone(100), share=0.1, seed=0)
    assert split.family_level == 1
    assert len(split.held_out) == 10
    assert all((number ^ 1) in split.held_out for number in split.held_out)


def test_five_rows_hold_out_one() -> None:
    assert len(split_rows(rows_of([()] * 5), alone(5), share=0.05, seed=0).held_out) == 1


def test_no_rows_hold_out_none() -> None:
    assert split_rows([], [], share=0.05, seed=0).held_out == frozenset()
