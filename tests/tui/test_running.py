from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from assistant.errors import SandboxError
from assistant.sandbox.bubblewrap import Bubblewrap
from assistant.sandbox.interface import Backend
from tui.running import MAX_OUTPUT_BYTES, RunResult, SandboxRunner
from tui.screens.run import describe_result

with_sandbox = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


def result_of(code: str, *, timeout_s: float = 20.0) -> RunResult:
    return SandboxRunner(Bubblewrap, timeout_s=timeout_s).start(code).wait()


@with_sandbox
def test_output_and_errors_come_together_with_the_exit_code() -> None:
    result = result_of("import sys\nprint('out')\nprint('err', file=sys.stderr)\nsys.exit(3)\n")
    assert (result.output, result.exit_code, result.ended_by) == ("out\nerr\n", 3, "")


@with_sandbox
def test_an_endless_run_is_ended_by_the_timeout_and_its_output_kept() -> None:
    result = result_of("print('on')\nwhile True: pass\n", timeout_s=0.5)
    assert (result.output, result.exit_code, result.ended_by) == ("on\n", None, "timeout")


@with_sandbox
def test_a_run_that_is_stopped_says_who_stopped_it() -> None:
    run = SandboxRunner(Bubblewrap, timeout_s=60).start("import time\ntime.sleep(60)\n")
    threading.Timer(0.1, run.stop).start()
    assert run.wait().ended_by == "user"


@with_sandbox
def test_endless_output_is_ended_and_its_beginning_kept() -> None:
    result = result_of("while True: print('x' * 1000)\n")
    assert (len(result.output), result.is_cut, result.ended_by) == (MAX_OUTPUT_BYTES, True, "output")


@with_sandbox
def test_it_can_use_what_is_installed() -> None:
    assert result_of("import click\nprint('there')\n").output == "there\n"


@with_sandbox
def test_it_cannot_read_the_users_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    result = result_of(f"print(open({str(tmp_path / 'file')!r}).read())\n")
    assert "FileNotFoundError" in result.output


@with_sandbox
@pytest.mark.parametrize("code", ["", "x = '漢字 \udce9'\nprint('ok')\n", "def f(:\n"])
def test_any_text_can_be_tried(code: str) -> None:
    assert result_of(code).exit_code in (0, 1)


def test_the_caution_names_the_sandbox() -> None:
    assert "(bubblewrap)" in SandboxRunner(Bubblewrap, timeout_s=1).find_caution()


def test_without_a_sandbox_nothing_is_started() -> None:
    def find() -> Backend:
        raise SandboxError("none")

    with pytest.raises(SandboxError):
        SandboxRunner(find, timeout_s=1).start("pass")


@pytest.mark.parametrize(
    ("ended_by", "said"),
    [("", "exit code 0"), ("timeout", "time was up"), ("output", "too much"), ("kill", "killed")],
)
def test_how_a_run_ended_is_said(ended_by: str, said: str) -> None:
    code = None if ended_by else 0
    assert said in describe_result(RunResult(output="", exit_code=code, seconds=1, ended_by=ended_by))
