from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant.evaluation.nll import measure_nll, read_nll
from assistant.evaluation.problems import Problem
from assistant.evaluation.targets import Target
from assistant.models import conversion
from assistant.models.progress import PullProgress

PROBLEMS = (
    Problem(id="a", task="one", tests=("assert f() == 1",), solution="def f():\n    return 1\n"),
    Problem(id="b", task="without a solution", tests=("assert f() == 2",)),
)


def test_a_model_is_measured_in_the_form_in_which_it_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[dict[str, Any]] = []

    def measure(
        _: str, source: Path, target: Path, report: Callable[[PullProgress], None], **more: Any
    ) -> None:
        jobs.append(json.loads(source.read_text()))
        (target / "result.jsonl").write_text('{"nats": 3.0, "tokens": 2, "right": 1}\n')

    monkeypatch.setattr(conversion, "run_conversion", measure)
    target = Target(
        name="mine", fingerprint="", prompt_format="python-task", directory=tmp_path / "m", served_as="int8"
    )
    nll = measure_nll(target, PROBLEMS, tmp_path, lambda _: None)
    assert (nll.problems, nll.nats_per_token) == (1, 1.5)
    assert read_nll(tmp_path) == nll
    (job,) = jobs
    assert job["served_as"] == "int8"
    assert [row["task"] for row in job["rows"]] == ["one"]
