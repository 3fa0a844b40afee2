"""The whole way: the command, the shared generator's process, and a sandbox."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_evaluation import write_model
from homes import Home
from terminals import scripted_generator

from assistant.config import SandboxSettings
from assistant.errors import SandboxError
from assistant.evaluation.problems import Problem
from assistant.evaluation.scoring import run_suite
from assistant.evaluation.suites import load_suite
from assistant.judging.judge import judge
from assistant.sandbox import Backend
from assistant.sandbox.choosing import find_sandbox


@pytest.fixture(scope="module")
def sandbox() -> Backend:
    try:
        return find_sandbox(SandboxSettings())
    except SandboxError as error:
        pytest.skip(f"no sandbox here: {error}")


@pytest.fixture(scope="module")
def scripted() -> Iterator[Home]:
    with scripted_generator(step_s=0.0) as home:
        write_model(home.path, "scripted")
        yield home


@pytest.fixture
def own_suite(tmp_path: Path) -> Path:
    rows = [
        {
            "id": "right",
            "task": "Write add.",
            "tests": ["assert add(1, 2) == 3", "assert add('a', 'b') == 'ab'"],
        },
        {"id": "half", "task": "Write add.", "tests": ["assert add(1, 2) == 3", "assert add(1, 2) == 4"]},
        {"id": "wrong", "task": "Write sub.", "tests": ["assert sub(1, 2) == -1"]},
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("samples", [1, 3])
def test_answers_of_the_generator_are_judged_in_the_sandbox(
    scripted: Home, sandbox: Backend, own_suite: Path, samples: int
) -> None:
    done = scripted.run(
        "evaluate", "--suite", str(own_suite), "--n", str(samples), "--json", "--name", f"n{samples}"
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["evaluations"]
    assert (found["judged"], found["passed_problems"]) == (3 * samples, 1)
    assert (found["parse_rate"], found["stop_rate"]) == (1.0, 1.0)
    assert found["record"]["sandbox"] == sandbox.name
    rows = (scripted.path / "data" / "evaluations" / f"n{samples}" / "scores.jsonl").read_text(
        encoding="utf-8"
    )
    half = next(row for row in map(json.loads, rows.splitlines()) if row["problem"] == "half")
    assert (half["tests_passed"], half["tests"]) == (1, 2)
    assert "assert add(1, 2) == 4" in half["error"]


def test_solutions_of_a_folders_functions_pass_their_doctests(sandbox: Backend, tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_text(
        "import math\n\n\ndef area(radius):\n"
        '    """Return a circle\'s area.\n\n    >>> round(area(1), 2)\n    3.14\n    """\n'
        "    return math.pi * radius**2\n",
        encoding="utf-8",
    )
    (problem,) = load_suite(str(tmp_path)).problems
    body = "return math.pi * radius**2"
    assert judged(problem, body, sandbox)
    assert judged(problem, problem.solution, sandbox)
    assert not judged(problem, "return 3", sandbox)


def test_solutions_of_a_folders_functions_pass_its_tests(sandbox: Backend, tmp_path: Path) -> None:
    code = 'def double(x):\n    """Return twice as much."""\n    return 2 * x\n'
    tests = (
        "import math\nfrom numbers_of_mine import double\n\n\ndef test_double():\n"
        "    assert double(math.pi) == 2 * math.pi\n"
    )
    (tmp_path / "numbers_of_mine.py").write_text(code, encoding="utf-8")
    (tmp_path / "test_numbers_of_mine.py").write_text(tests, encoding="utf-8")
    (problem,) = load_suite(str(tmp_path)).problems
    assert judged(problem, "return x + x", sandbox)
    assert not judged(problem, "return 2", sandbox)


def test_solutions_of_human_eval_pass_by_whichever_way_they_are_given(sandbox: Backend) -> None:
    problem = load_suite("humaneval[32:33]").problems[0]  # its tests use a helper of the prompt
    body = problem.solution.removeprefix(problem.prompt)
    assert judged(problem, body, sandbox)
    assert judged(problem, f"```python\n{problem.solution}```", sandbox)
    assert not judged(problem, "    return 0.0\n", sandbox)


def judged(problem: Problem, reply: str, sandbox: Backend) -> bool:
    scores = run_suite(
        [problem], {problem.id: reply}, lambda code, suite: judge(code, suite, sandbox=sandbox)
    )
    return scores[problem.id].passed


@pytest.mark.slow
@pytest.mark.model
def test_the_embedded_model_is_measured(pulled_home: Home, sandbox: Backend) -> None:
    arguments = ("evaluate", "--suite", "humaneval", "--limit", "3", "--max-tokens", "96", "--nll", "--json")
    done = pulled_home.run(*arguments, env={"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")})
    pulled_home.kill_servers()
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["evaluations"]
    assert (found["judged"], found["is_complete"], found["broken"]) == (3, True, [])
    assert 0 < found["nll"]["nats_per_token"] < 5
