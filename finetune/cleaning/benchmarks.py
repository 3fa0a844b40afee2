"""Frees data of the problems that models are measured with: HumanEval, MBPP's test split, the user's own.

Ships hashes alone (`benchmark_hashes.json`), made by `bench/benchmark_hashes.py` and checked by a test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

from finetune.cleaning.fingerprints import Fingerprint, Matcher, build_fingerprints, parse_fingerprints
from finetune.examples import Example, Reason, Reject
from finetune.progress import Report, report_nothing, track

HASHES_NAME = "benchmark_hashes.json"
MBPP_TEST = range(11, 511)
"""The authors' test split, by task_id; 601 to 974 are theirs to train on."""


def read_known_benchmarks() -> list[Fingerprint]:
    """Return the fingerprints that come with this package."""
    file = resources.files("finetune.cleaning").joinpath(HASHES_NAME)
    return parse_fingerprints(file.read_text(encoding="utf-8"))


def fingerprint_examples(examples: Iterable[Example]) -> list[Fingerprint]:
    """Fingerprint a benchmark of the user's, or rows that are held out; a problem goes by its place."""
    return [
        one
        for example in examples
        for one in build_fingerprints(str(example.place), (example.task, example.input, example.code))
    ]


def fingerprint_humaneval(problems: Iterable[dict[str, Any]]) -> list[Fingerprint]:
    """Fingerprint HumanEval's problems: what is asked, the solution, the tests."""
    return [
        one
        for problem in problems
        for one in build_fingerprints(
            problem["task_id"],
            (read_docstring(problem["prompt"]), problem["canonical_solution"], problem["test"]),
        )
    ]


def fingerprint_mbpp(problems: Iterable[dict[str, Any]]) -> list[Fingerprint]:
    """Fingerprint the problems of MBPP's test split."""
    return [
        one
        for problem in problems
        if problem["task_id"] in MBPP_TEST
        for one in build_fingerprints(
            f"MBPP/{problem['task_id']}", (problem["text"], problem["code"], "\n".join(problem["test_list"]))
        )
    ]


def read_docstring(prompt: str) -> str:
    """Return the docstring of a prompt's last function, without its examples."""
    functions = [node for node in ast.parse(prompt).body if isinstance(node, ast.FunctionDef)]
    return (ast.get_docstring(functions[-1]) or "").partition(">>>")[0]


def drop_contaminated(
    examples: Sequence[Example], fingerprints: Sequence[Fingerprint], report: Report = report_nothing
) -> tuple[list[Example], list[Reject]]:
    """Keep the rows that hold none of these problems."""
    matcher = Matcher(fingerprints)
    kept: list[Example] = []
    rejects: list[Reject] = []
    for example in track(examples, "looking for benchmark problems", report):
        problem = matcher.find((example.task, example.input, example.code))
        if problem is None:
            kept.append(example)
        else:
            rejects.append(
                Reject(place=example.place, reason=Reason.BENCHMARK, detail=problem, kind=example.kind)
            )
    return kept, rejects
