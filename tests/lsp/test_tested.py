"""Implement until the tests pass: which tests are found, what is run, and what becomes of the answers."""

from __future__ import annotations

from pathlib import Path

import pytest
from acting import ROOMY, FakeWorkspace, names_of, offer_of, plan_of, view_of
from tried import CandidateGenerator, CountingJudge, NoSandbox, never

from assistant.errors import SandboxError
from lsp.actions.catalog import build_actions, read_actions
from lsp.actions.interface import Refused, Trial, View
from lsp.backend import Desk, Judging, Run
from lsp.trials import place_search_path
from tests.lsp.conftest import Connect
from tests.lsp.connected import Connected
from tests.lsp.fakes import FakeBackend

ACTIONS = build_actions(runs_tests=True)
STUB = "def count(n):‸\n    pass\n"
DOCUMENTED = 'def count(n):‸\n    """Count.\n\n    >>> count(1)\n    1\n    >>> count(2)\n    3\n    """\n'
BESIDE = """\
import math
import sys


def helper(n):
    return n


def count(n):‸
    pass


def test_count():
    assert count(helper(1)) == math.floor(1.5)


def test_helper():
    assert helper(1) == 1


assert count(3) == 6
"""
TEST_FILE = """\
from shapes import count, other

LIMIT = 3


def test_count():
    assert count(LIMIT) == 6


def test_other():
    assert other()


class TestMore:
    def test_count_none(self):
        assert count(0) == 0
"""


def trial_of(view: View) -> Trial:
    trial = plan_of(view, "tested", ACTIONS).trial
    assert trial is not None
    return trial


def in_project(marked: str, test_file: str | None = None) -> View:
    files = {"/project/pyproject.toml": ""}
    if test_file is not None:
        files["/project/tests/test_shapes.py"] = test_file
    return view_of(marked, workspace=FakeWorkspace(files=files))


def test_it_is_offered_only_where_the_user_allows_that_tests_are_run() -> None:
    view = view_of(DOCUMENTED)
    assert "tested" not in names_of(view)
    offer = offer_of(view, "tested", ACTIONS)
    assert offer.title == "Implement `count` until its tests pass"


def test_a_projects_file_cannot_allow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    assert "tested" not in read_actions().names
    monkeypatch.setenv("ASSISTANT_SANDBOX_PROJECTS", "on")
    assert "tested" in read_actions().names
    monkeypatch.setenv("ASSISTANT_SANDBOX_PROJECTS", "perhaps")
    assert "tested" not in read_actions().names


@pytest.mark.parametrize(
    ("marked", "path"),
    [(STUB, None), ("def count(n):‸\n    return n\n", "/project/shapes.py"), (STUB, "/project/test_a.py")],
)
def test_it_is_not_offered_without_a_place_for_tests_or_on_a_function_with_a_body(
    marked: str, path: str | None
) -> None:
    offers = ACTIONS.offer(view_of(marked, path=path))
    assert not [offer for offer in offers if offer.action == "tested"]


def test_doctests_are_found_and_need_not_be_shown_again() -> None:
    trial = trial_of(view_of(DOCUMENTED, path=None))
    assert len(trial.suite.cases) == 2
    assert trial.suite.names == ("count",)
    assert (trial.shown, trial.source, trial.root) == ("", "its doctests", None)


def test_tests_and_asserts_beside_it_are_found_those_of_others_are_not() -> None:
    trial = trial_of(view_of(BESIDE, path=None))
    names = [case.name for case in trial.suite.cases]
    assert names == ["line 13: test_count", "line 21: assert count(3) == 6"]
    assert trial.suite.names == ("count", "helper")
    assert "import math" in trial.suite.setup
    assert "import sys" not in trial.suite.setup
    assert "test_helper" not in trial.suite.setup


def test_the_modules_test_file_is_read_and_its_import_means_the_file() -> None:
    trial = trial_of(in_project(STUB, TEST_FILE))
    names = [case.name for case in trial.suite.cases]
    assert names == ["test_shapes.py: test_count", "test_shapes.py: TestMore.test_count_none"]
    assert (trial.suite.module, trial.suite.names) == ("shapes", ())
    assert "LIMIT = 3" in trial.suite.setup
    assert "test_other" not in trial.suite.setup
    assert trial.root == Path("/project")


def test_doctests_and_a_test_file_go_together() -> None:
    trial = trial_of(in_project(DOCUMENTED, TEST_FILE))
    assert len(trial.suite.cases) == 4
    assert trial.suite.setup.startswith("from shapes import count\n")
    assert trial.source == "its doctests and test_shapes.py"


def test_the_tests_are_shown_below_the_code() -> None:
    turn = plan_of(in_project(STUB, TEST_FILE), "tested", ACTIONS).request.turns[-1]
    assert "must pass" in turn.text
    assert turn.input.startswith("def count(n):")
    assert "def test_count():\n    assert count(LIMIT) == 6" in turn.input
    assert "test_other" not in turn.input


def test_tests_that_are_too_long_are_run_and_not_shown() -> None:
    long = TEST_FILE.replace("== 6", f"== {'6 + ' * 200}0")
    plan = plan_of(in_project(STUB, long), "tested", ACTIONS, budget=1500)
    assert "def test_count" not in plan.request.turns[-1].input
    assert plan.trial is not None


def test_without_tests_nothing_is_asked_and_it_says_where_they_would_be() -> None:
    view = in_project(STUB, "def test_other():\n    pass\n")
    refused = ACTIONS.prepare(offer_of(view, "tested", ACTIONS), view, ROOMY, len)
    assert isinstance(refused, Refused)
    assert "has a test that names `count`" in refused.reason


def test_the_projects_modules_are_found_by_a_line_before_the_imports() -> None:
    assert place_search_path("x = 1\n", None) == "x = 1\n"
    placed = place_search_path("x = 1\n", Path("/p"))
    assert placed == "__import__('sys').path[:0] = ['/p', '/p/src']\nx = 1\n"
    future = place_search_path('"""Doc."""\nfrom __future__ import annotations\nimport a\n', Path("/p"))
    assert future.split("\n")[2].startswith("__import__")
    compile(future, "<file>", "exec")


class TryingBackend(FakeBackend):
    """Answers with candidates, and runs nothing."""

    def __init__(self, generator: CandidateGenerator, *, has_sandbox: bool = True) -> None:
        super().__init__(generator)  # type: ignore[arg-type]
        self._has_sandbox = has_sandbox
        self.judge = CountingJudge()

    def open(self, path: Path | None, run: Run) -> Desk:
        from dataclasses import replace

        return replace(super().open(path, run), find_judging=self._find_judging)

    def _find_judging(self, trial: Trial) -> Judging:
        if not self._has_sandbox:
            raise SandboxError("there is no sandbox", hint="install bubblewrap")
        return Judging(judge=self.judge, sandbox=NoSandbox())


def answer(passed: int) -> str:
    return f"def count(n):\n    passes = {passed}\n    return passes\n"


def choose(connect: Connect, backend: TryingBackend) -> Connected:
    editor = connect(backend, ACTIONS)
    editor.client.initialize()
    editor.open(DOCUMENTED.replace("‸", ""))
    editor.choose("Implement `count` until its tests pass")
    return editor


def test_the_answer_that_passes_goes_into_the_file_and_says_what_ran(connect: Connect) -> None:
    backend = TryingBackend(CandidateGenerator([[answer(0)]], [[answer(1), answer(2), never()]]))
    editor = choose(connect, backend)
    editor.make_edit(editor.wait_edit())
    assert editor.text.endswith('"""\n    passes = 2\n    return passes\n')
    editor.wait_shown("It passes 2 of 2 tests · 3 tried · bubblewrap · its doctests.")
    assert all(code.startswith('def count(n):\n    """Count.') for code in backend.judge.codes)


def test_where_none_passes_nothing_is_changed_and_it_says_so(connect: Connect) -> None:
    bad = [answer(0)] * 7
    repairs = [answer(1)] * 3
    editor = choose(connect, TryingBackend(CandidateGenerator([[answer(1)], [bad[0]]], [bad, repairs])))
    editor.wait_shown("nothing was changed: none of 12 passed all 2 tests; this one passes 1")
    assert editor.client.methods("workspace/applyEdit") == []
    assert "Insert last result" in editor.titles()


def test_without_a_sandbox_it_says_what_mends_it_and_asks_nobody(connect: Connect) -> None:
    generator = CandidateGenerator([[answer(2)]], [[]])
    editor = choose(connect, TryingBackend(generator, has_sandbox=False))
    editor.wait_shown("install bubblewrap")
    assert generator.requests == []


def test_cancelling_stops_all_of_it(connect: Connect) -> None:
    generator = CandidateGenerator([[answer(1)]], [[never()]])
    editor = choose(connect, TryingBackend(generator))
    editor.wait_titles(lambda titles: any(title.startswith("Cancel") for title in titles))
    title = next(each for each in editor.titles() if each.startswith("Cancel"))
    editor.choose(title)
    assert editor.wait_progress("end")["value"]["message"] == "cancelled"
    assert all(stream.is_closed for stream in generator.streams)
