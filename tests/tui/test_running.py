from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tui.running import MAX_OUTPUT_BYTES, LimitedRunner, RunResult


def result_of(code: str, *, timeout_s: float = 20.0) -> RunResult:
    return LimitedRunner(timeout_s=timeout_s).start(code).wait()


def test_output_and_errors_come_together_with_the_exit_code() -> None:
    result = result_of("import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr)\nsys.exit(3)\n")
    assert (result.output, result.exit_code, result.ended_by) == ("out\nerr\n", 3, "")


def test_an_endless_run_is_ended_by_the_timeout() -> None:
    result = result_of("print('on', flush=True)\nwhile True: pass\n", timeout_s=1.0)
    assert (result.output, result.exit_code, result.ended_by) == ("on\n", None, "timeout")


def test_a_run_that_is_stopped_says_who_stopped_it() -> None:
    run = LimitedRunner(timeout_s=60).start("import time\ntime.sleep(60)\n")
    threading.Timer(0.3, run.stop).start()
    assert run.wait().ended_by == "user"


def test_children_do_not_outlive_the_run(tmp_path: Path) -> None:
    left = tmp_path / "pid"
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(['sleep', '300'])\n"
        f"open({str(left)!r}, 'w').write(str(child.pid))\n"
    )
    assert result_of(code).exit_code == 0
    state = Path(f"/proc/{left.read_text()}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_endless_output_is_cut_and_does_not_stall() -> None:
    result = result_of(f"print('x' * {3 * MAX_OUTPUT_BYTES})\n")
    assert (len(result.output), result.is_cut, result.exit_code) == (MAX_OUTPUT_BYTES, True, 0)


def test_memory_is_limited() -> None:
    assert "MemoryError" in result_of("x = bytearray(8 * 1024**3)\n").output


def test_large_files_cannot_be_written() -> None:
    result = result_of("f = open('big', 'wb')\nfor _ in range(100): f.write(bytes(1024**2)); f.flush()\n")
    assert result.exit_code != 0


def test_it_runs_in_a_directory_that_is_gone_afterwards() -> None:
    directory = result_of("import os\nprint(os.getcwd())\n").output.strip()
    assert directory != os.getcwd()  # noqa: PTH109 - compared as text
    assert not Path(directory).exists()


def test_no_secret_of_ours_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_TOKEN", "sesame")
    assert "sesame" not in result_of("import os\nprint(dict(os.environ))\n").output


def test_it_reads_nothing_from_our_terminal() -> None:
    assert "EOFError" in result_of("input()\n").output


@pytest.mark.parametrize("code", ["", "x = '漢字 \udce9'\nprint('ok')\n", "def f(:\n"])
def test_any_text_can_be_tried(code: str) -> None:
    assert result_of(code).exit_code in (0, 1)
