from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from finetune.cleaning.duplicates import (
    NEAR,
    Groups,
    Neighbors,
    build_clusters,
    build_shingles,
    drop_duplicates,
    measure_overlap,
)
from finetune.examples import Example, Kind, Reason

Build = Callable[..., Example]

FUNCTION = """\
def read_totals(path, separator=","):
    totals = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, amount = line.rstrip().split(separator)
            totals[name] = totals.get(name, 0) + float(amount)
    return sorted(totals.items(), key=lambda pair: pair[1], reverse=True)
"""
OTHER = """\
class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)
"""


def test_an_equal_row_is_dropped_and_names_the_first(example: Build) -> None:
    kept, rejects = drop_duplicates([example("a", FUNCTION), example("b", OTHER), example("a", FUNCTION)])
    assert [one.task for one in kept] == ["a", "b"]
    assert [(one.reason, one.detail) for one in rejects] == [(Reason.DUPLICATE, "of d.jsonl:1")]


def test_white_space_makes_no_other_row(example: Build) -> None:
    spaced = FUNCTION.replace("totals = {}", "totals  =  {}  ")
    _, rejects = drop_duplicates([example("a  b", FUNCTION), example("a b", spaced)])
    assert [one.reason for one in rejects] == [Reason.DUPLICATE]


def test_indentation_makes_no_equal_row(example: Build) -> None:
    _, rejects = drop_duplicates(
        [example("t", "if a:\n    b()\nc()"), example("t", "if a:\n    b()\n    c()")]
    )
    assert [one.reason for one in rejects] == [Reason.NEAR_DUPLICATE]


def test_a_row_with_a_renamed_variable_is_near(example: Build) -> None:
    task = "Sum the amounts of each name in a file and sort them, the largest first"
    changed = FUNCTION.replace("file:", "lines:").replace("in file", "in lines")
    kept, rejects = drop_duplicates([example(task, FUNCTION), example(task, changed)])
    assert len(kept) == 1
    assert [one.reason for one in rejects] == [Reason.NEAR_DUPLICATE]


def test_rows_of_different_kinds_are_kept(example: Build) -> None:
    rows = [example("t", FUNCTION, kind=kind) for kind in (Kind.FUNCTION, Kind.BODY)]
    assert len(drop_duplicates(rows)[0]) == 2


def test_short_rows_with_one_other_word_are_kept(example: Build) -> None:
    rows = [
        example("Write a function to find the area of a square", "def area(a):\n    return a * a"),
        example("Write a function to find the area of a circle", "def area(r):\n    return 3.14 * r * r"),
    ]
    assert len(drop_duplicates(rows)[0]) == 2


def test_duplicate_only_data_leaves_one_row(example: Build) -> None:
    kept, rejects = drop_duplicates([example("a", FUNCTION) for _ in range(50)])
    assert (len(kept), len(rejects)) == (1, 49)


def test_the_same_code_under_other_tasks_is_one_cluster(example: Build) -> None:
    changed = FUNCTION.replace("file:", "lines:").replace("in file", "in lines")
    rows = [example("a", FUNCTION), example("b", OTHER), example("c", FUNCTION), example("d", changed)]
    assert build_clusters(rows) == [0, 1, 0, 0]


def test_what_is_near_the_same_row_is_one_cluster(example: Build) -> None:
    words = [f"w{number}" for number in range(60)]
    left, middle, right = (" ".join(words[start : start + 40]) for start in (0, 6, 12))
    overlaps = [
        measure_overlap(build_shingles(a), build_shingles(b)) for a, b in ((left, middle), (left, right))
    ]
    assert overlaps[0] >= NEAR > overlaps[1]
    rows = [example("t", left), example("t", right), example("t", middle)]
    assert build_clusters(rows) == [0, 0, 0]


@given(st.lists(st.text("ab (", max_size=30), min_size=1, max_size=12))
def test_neighbors_are_near_by_the_exact_measure(texts: list[str]) -> None:
    neighbors = Neighbors()
    for key, text in enumerate(texts):
        for found in neighbors.find(text):
            assert measure_overlap(build_shingles(text), build_shingles(texts[found])) >= NEAR
        neighbors.add(key, text)


@given(st.lists(st.text("ab (", max_size=30), min_size=1, max_size=12))
def test_an_equal_text_is_always_found(texts: list[str]) -> None:
    neighbors = Neighbors()
    for key, text in enumerate(texts):
        neighbors.add(key, text)
    for key, text in enumerate(texts):
        assert key in neighbors.find(text)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=40))
def test_joined_numbers_share_a_group_of_the_smallest_name(pairs: list[tuple[int, int]]) -> None:
    groups = Groups(21)
    for one, other in pairs:
        groups.join(one, other)
    assert all(groups.find(one) == groups.find(other) for one, other in pairs)
    assert all(groups.find(number) <= number for number in range(21))
