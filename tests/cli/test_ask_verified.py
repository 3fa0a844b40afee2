"""`ask --tests` and `--check`: what a verification leads to. Generators and judges do as they are told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from program import ROOT, Program
from streams import TERMINAL_WITH_STATUS, RecordedStreams
from tried import SUITE, CandidateGenerator, CountingJudge, NoSandbox, never

from assistant.answers import Answer
from assistant.commands.asking import AskOptions, Form
from assistant.commands.verified import TallyLine, Verifying, run_verified
from assistant.commands.verified_flags import VerifyFlags, check_flags
from assistant.errors import GeneratorLostError, SandboxError, UsageError
from assistant.requests import FinishReason
from assistant.verifying import CandidateWritten, Effort

PATCH = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests" / "support")!r})
import assistant.client
from tried import CandidateGenerator
head = "def double(x):\\n    return "
generator = CandidateGenerator([[head + "x ** 2\\n"]], [[head + "LAST\\n"]])
assistant.client.create_generator = lambda config: generator
"""
TESTS = "from doubling import double\n\n\ndef test_double():\n    assert double(3) == 6\n"
BAD, FAIR, BETTER, GOOD = (f"passes = {n}\n" for n in range(4))


def ask(
    generator: CandidateGenerator,
    *,
    judge: Any = None,
    shown: str = "assert f(1) == 2\n",
    recorded: RecordedStreams | None = None,
    effort: Effort | None = None,
    **options: Any,
) -> tuple[int, RecordedStreams, list[tuple[AskOptions, Answer]]]:
    recorded = recorded or RecordedStreams()
    kept: list[tuple[AskOptions, Answer]] = []
    verifying = Verifying(
        suite=SUITE,
        source="check.py",
        shown=shown,
        sandbox=NoSandbox(),
        effort=effort or Effort(candidates=3, repairs=0, patience_s=20),
    )
    code = run_verified(
        AskOptions(**{"task": "count", **options}),
        verifying,
        generator,
        recorded.streams,
        lambda asked, answer: kept.append((asked, answer)),
        judge=judge or CountingJudge(),
    )
    return code, recorded, kept


def flags(**given: Any) -> VerifyFlags:
    return {
        "tests": None,
        "is_checked": False,
        "candidates": None,
        "has_no_repair": False,
        "as_stream_json": False,
        "count": None,
        "temperature": None,
        "top_p": None,
        **given,
    }  # type: ignore[return-value]


def test_the_answer_that_passes_comes_out_and_what_ran_is_said() -> None:
    code, recorded, kept = ask(CandidateGenerator([[BAD]], [[FAIR, GOOD]]))
    assert (code, recorded.out) == (0, GOOD)
    assert recorded.err == "passes 3 of 3 tests · 3 tried · bubblewrap · check.py\n"
    assert kept[0][1].text == GOOD


def test_the_tests_go_below_the_input() -> None:
    generator = CandidateGenerator([[GOOD]], [[GOOD, GOOD]])
    _, _, kept = ask(generator, input="data = [1]\n")
    assert generator.requests[0].turns[-1].input == "data = [1]\n\nassert f(1) == 2"
    assert kept[0][0].input == "data = [1]\n\nassert f(1) == 2"


def test_without_an_input_the_tests_are_the_input_and_with_check_they_are_there_already() -> None:
    generator = CandidateGenerator([[GOOD], [GOOD]], [[GOOD, GOOD], [GOOD, GOOD]])
    ask(generator)
    ask(generator, shown="", input="assert g(1)\n")
    assert [r.turns[-1].input for r in generator.requests[::2]] == ["assert f(1) == 2", "assert g(1)"]


def test_where_none_passes_the_best_comes_out_with_a_warning_and_7() -> None:
    code, recorded, _ = ask(CandidateGenerator([[BAD]], [[BETTER, FAIR]]))
    assert (code, recorded.out) == (7, BETTER)
    assert recorded.err.startswith(
        "warning: none of 3 passed all 3 tests; this one passes 2: test 3: Assertion"
    )


def test_full_is_the_whole_reply() -> None:
    reply = f"Sure:\n\n```python\n{GOOD}```\nThat is all."
    code, recorded, _ = ask(CandidateGenerator([[reply]], [[BAD, BAD]]), form=Form.FULL)
    assert (code, recorded.out) == (0, f"{reply}\n")


@pytest.mark.parametrize(("best", "is_verified", "exit_code"), [(GOOD, True, 0), (BETTER, False, 7)])
def test_json_says_how_each_test_came_out(best: str, is_verified: bool, exit_code: int) -> None:
    code, recorded, _ = ask(CandidateGenerator([[best]], [[BAD, FAIR]]), form=Form.JSON)
    content = json.loads(recorded.out)
    assert (code, content["verified"]) == (exit_code, is_verified)
    assert (content["code"], content["sandbox"]) == (best, "bubblewrap")
    assert 1 <= content["tried"] <= 3
    assert content["params"]["n"] == 3
    assert content["tests"][0] == {"name": "test 1", "standing": "passed", "error": ""}
    last = {"standing": "passed", "error": ""} if is_verified else {"standing": "failed"}
    assert content["tests"][2].items() >= last.items()


def test_a_file_gets_an_answer_that_passes(tmp_path: Path) -> None:
    target = tmp_path / "f.py"
    code, recorded, _ = ask(CandidateGenerator([[GOOD]], [[BAD, BAD]]), target=target)
    assert (code, recorded.out, target.read_text()) == (0, "", GOOD)


def test_a_file_does_not_get_one_that_does_not_pass_which_is_kept_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "f.py"
    code, recorded, _ = ask(CandidateGenerator([[BETTER]], [[BAD, BAD]]), target=target)
    assert (code, target.exists()) == (7, False)
    assert (tmp_path / "f.py.partial").read_text() == BETTER
    assert "f.py.partial" in recorded.err


def test_a_deadline_leaves_the_best_so_far_and_4() -> None:
    code, recorded, _ = ask(CandidateGenerator([[FAIR]], [[never()]]), timeout_s=0.3)
    assert (code, recorded.out) == (4, FAIR)
    assert "warning: not verified, 1 tried, as it was stopped; this one passes 1 of 3" in recorded.err
    assert "no answer had passed its tests after 0.3 s" in recorded.err


def test_ctrl_c_leaves_the_best_so_far_and_130() -> None:
    class Interrupting(CountingJudge):
        def __call__(self, *arguments: Any, **named: Any) -> Any:
            judgement = super().__call__(*arguments, **named)
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            return judgement

    generator = CandidateGenerator([[FAIR]], [[never()]])
    code, recorded, kept = ask(generator, judge=Interrupting())
    assert (code, recorded.out) == (130, FAIR)
    assert recorded.err.startswith("warning: not verified")
    assert kept[0][1].finish_reasons == (FinishReason.STOP,)
    assert all(stream.is_closed for stream in generator.streams)


def test_a_generator_that_fails_is_reported_as_ever() -> None:
    lost = GeneratorLostError("it went away", hint="ask again")
    code, recorded, _ = ask(CandidateGenerator([[lost]], [[lost]]))
    assert (code, recorded.out) == (3, "")
    assert "error: it went away\nhint: ask again\n" in recorded.err


def test_a_sandbox_that_stops_working_is_reported_and_the_answer_kept() -> None:
    generator = CandidateGenerator([[GOOD]], [[never()]])
    code, recorded, _ = ask(generator, judge=CountingJudge(error=SandboxError("forbidden")))
    assert (code, recorded.out) == (3, GOOD)
    assert "error: forbidden" in recorded.err


def test_a_terminal_shows_how_far_it_is() -> None:
    recorded = RecordedStreams(err=TERMINAL_WITH_STATUS)
    line = TallyLine(recorded.streams.messages, 3)
    with line.shown():
        assert line.render().startswith("waiting for the generator · 0.")
    _, recorded, _ = ask(CandidateGenerator([[GOOD]], [[BAD, BAD]]), recorded=recorded)
    assert "passes 3 of 3 tests" in recorded.err


def test_the_line_counts_what_is_written() -> None:
    line = TallyLine(RecordedStreams().streams.messages, 3)
    _, _, kept = ask(CandidateGenerator([[GOOD]], [[BAD, BAD]]))
    assert kept
    line.note(CandidateWritten(candidate=None, written=1, of=3))  # type: ignore[arg-type]
    assert line.render().startswith("1 of 3 written · ")


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"tests": "t.py", "is_checked": True}, "--tests and --check exclude each other"),
        ({"candidates": 3}, "--candidates means something only with --tests FILE or --check"),
        ({"has_no_repair": True}, "--no-repair means something only with"),
        ({"tests": "t.py", "as_stream_json": True}, "--tests and --stream-json exclude each other"),
        ({"is_checked": True, "count": 3}, "--check and --n exclude each other"),
        ({"is_checked": True, "temperature": 0.0}, "--temperature 0 would try the same answer"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        check_flags(flags(**given))


def test_without_tests_nothing_is_verified() -> None:
    assert not check_flags(flags())
    assert check_flags(flags(tests="t.py", candidates=1, temperature=0.0))


@pytest.fixture
def asked(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Program:
    """`assistant` with two candidates, and a file of tests where it is started."""
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "http://127.0.0.1:9/v1")  # no model is fetched for it
    (tmp_path / "test_doubling.py").write_text(TESTS)
    program.patch = PATCH.replace("LAST", "x * 2")
    return program


needs_bubblewrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
VERIFIED = ("ask", "double it", "--candidates", "2", "--no-repair")


@needs_bubblewrap
def test_a_file_of_tests_chooses_the_answer_and_the_exit_code(asked: Program) -> None:
    done = asked.run(*VERIFIED, "--tests", "test_doubling.py")
    assert (done.returncode, done.stdout) == (0, "def double(x):\n    return x * 2\n")
    assert done.stderr == "passes 1 of 1 tests · 2 tried · bubblewrap · test_doubling.py\n"
    asked.patch = PATCH.replace("LAST", "x * 3")
    assert asked.run(*VERIFIED, "--tests", "test_doubling.py").returncode == 7


@needs_bubblewrap
def test_the_asserts_of_what_is_piped_in_choose_the_answer(asked: Program) -> None:
    done = asked.run(*VERIFIED, "--check", "--json", fed=b"assert double(3) == 6\n")
    content = json.loads(done.stdout)
    assert (done.returncode, content["verified"], content["sandbox"]) == (0, True, "bubblewrap")
    assert content["tests"] == [{"name": "line 1: assert double(3) == 6", "standing": "passed", "error": ""}]


def test_without_tests_or_a_sandbox_nothing_is_asked(asked: Program) -> None:
    asked.patch += "generator.stream = None\n"
    done = asked.run(*VERIFIED, "--check", fed=b"x = 1\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--check: the input has no asserts and no doctests" in done.stderr
    without = {"ASSISTANT_SANDBOX_BACKEND": "bubblewrap", "PATH": "/nowhere"}
    done = asked.run(*VERIFIED, "--tests", "test_doubling.py", env=without)
    assert (done.returncode, done.stdout) == (3, "")
    assert "there is no sandbox" in done.stderr
