"""Verification with the real judge and the real sandbox."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from acting import FakeWorkspace, view_of
from tried import CandidateGenerator, never

from assistant.answers import collect_answer
from assistant.config import Config
from assistant.errors import SandboxError
from assistant.judging.judge import judge
from assistant.judging.suites import find_own_tests
from assistant.requests import build_task_request
from assistant.sandbox.bubblewrap import Bubblewrap
from assistant.sandbox.interface import Backend, Job, Limits
from assistant.verifying import CandidateWritten, Effort, Verification, Verified, render_statement
from lsp.actions.interface import Trial
from lsp.backend import ConfiguredBackend
from lsp.regions import find_definition
from lsp.trials import find_trial, place_search_path
from tui.verifying import Finding, SandboxVerifier, VerifyingGenerator

TESTS = "assert double(2) == 4\nassert double('ab') == 'abab'\n"
GOOD = "def double(x):\n    return x * 2\n"
WRONG = "def double(x):\n    return x ** 2\n"
ENDLESS = "def double(x):\n    while True:\n        pass\n"
CHEAT = "import os\ndef double(x):\n    os._exit(0)\n"


@pytest.fixture(scope="module")
def sandbox() -> Backend:
    found = Bubblewrap()
    try:
        found.start(Job(source="pass"), Limits()).wait()
    except SandboxError as error:
        pytest.skip(f"bubblewrap does not work here: {error.message}")
    return found


def start(
    sandbox: Backend, generator: CandidateGenerator, *, wall_s: float = 20.0, **effort: Any
) -> Verification:
    suite = find_own_tests(TESTS)
    assert suite is not None
    return Verification(
        build_task_request("double", TESTS),
        suite,
        generator=generator,
        judge=partial(judge, limits=Limits(wall_s=wall_s, cpu_s=20)),
        sandbox=sandbox,
        effort=Effort(**{"candidates": 4, "repairs": 0, "patience_s": 20.0, **effort}),
    )


def test_of_wrong_endless_and_cheating_answers_the_right_one_is_chosen(sandbox: Backend) -> None:
    generator = CandidateGenerator([[WRONG]], [[CHEAT, ENDLESS, GOOD]])
    *_, verified = start(sandbox, generator, wall_s=1.0)
    assert isinstance(verified, Verified)
    assert verified.chosen is not None
    assert verified.chosen.reply == GOOD
    assert render_statement(verified).startswith("passes 2 of 2 tests · ")
    assert render_statement(verified).endswith(" tried · bubblewrap")


def test_a_repair_is_told_what_the_tests_said(sandbox: Backend) -> None:
    generator = CandidateGenerator([[WRONG], [GOOD]], [])
    *_, verified = start(sandbox, generator, candidates=1, repairs=1)
    assert isinstance(verified, Verified)
    assert verified.is_verified
    assert "TypeError" in generator.requests[1].turns[-1].text


def test_stopping_leaves_no_process_of_an_endless_answer(sandbox: Backend) -> None:
    ours = psutil.Process(os.getpid())
    others = set(ours.children(recursive=True))  # what other tests have left to end by itself
    verification = start(sandbox, CandidateGenerator([[ENDLESS]], [[never()]]))
    for event in verification:
        if isinstance(event, CandidateWritten):
            break
    began = time.monotonic()
    threading.Timer(0.3, verification.close).start()
    *_, verified = verification
    assert isinstance(verified, Verified)
    assert verified.is_stopped
    while set(ours.children(recursive=True)) - others:
        assert time.monotonic() < began + 15
        time.sleep(0.02)


def test_a_file_of_a_project_finds_its_neighbours_and_its_test_file_means_it(
    sandbox: Backend, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)  # root's sandbox is nobody's
    (tmp_path / "tests").mkdir()
    (tmp_path / "numbers_of.py").write_text("FACTOR = 2\n")
    test_file = tmp_path / "tests" / "test_shapes.py"
    test_file.write_text("from shapes import double\n\n\ndef test_double():\n    assert double(2) == 4\n")
    text = "from numbers_of import FACTOR\n\n\ndef double(x):‸\n    pass\n"
    workspace = FakeWorkspace(
        files={str(test_file): test_file.read_text(), str(tmp_path / "pyproject.toml"): ""}, root=tmp_path
    )
    view = view_of(text, path=str(tmp_path / "shapes.py"), workspace=workspace)
    definition = find_definition(view.tree, view.selection)
    assert definition is not None
    trial = find_trial(view, definition)
    assert trial is not None
    assert trial.root == tmp_path
    code = place_search_path(view.text.replace("pass", "return x * FACTOR"), trial.root)
    judgement = judge(code, trial.suite, sandbox=sandbox, readable=(tmp_path,))
    assert judgement.has_passed, judgement
    alone = judge(view.text, trial.suite, sandbox=sandbox)
    assert "No module named 'numbers_of'" in alone.error


def test_the_chat_finds_the_tests_and_the_sandbox_by_itself(
    sandbox: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    findings: list[Finding] = []
    generator = CandidateGenerator([[GOOD]], [[never()]])
    verifier = SandboxVerifier(Config())
    verifier.check()
    answer = collect_answer(
        VerifyingGenerator(generator, verifier, findings.append).stream(build_task_request("double", TESTS))
    )
    assert answer.text == GOOD
    assert findings == [
        Finding(statement=f"passes 2 of 2 tests · 1 tried · {sandbox.name}", is_verified=True)
    ]


def test_the_editor_runs_nothing_once_the_user_has_forbidden_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "http://127.0.0.1:9/v1")
    suite = find_own_tests(TESTS)
    assert suite is not None
    desk = ConfiguredBackend().open(None, lambda _: None)
    assert desk.find_judging is not None
    with pytest.raises(SandboxError, match="only where you allow it"):
        desk.find_judging(Trial(suite=suite, shown="", source="here"))
