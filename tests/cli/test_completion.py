from __future__ import annotations

import shutil
import subprocess

import pytest
from program import Program


def completed(program: Program, line: str) -> list[str]:
    words = line.split(" ")
    environment = {
        "_ASSISTANT_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = program.run(env=environment)
    assert done.returncode == 0, done.stderr
    return [row.partition(",")[2] for row in done.stdout.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_the_shell_accepts(shell: str, program: Program) -> None:
    done = program.run("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_ASSISTANT_COMPLETE" in done.stdout
    if shutil.which(shell):
        checked = subprocess.run(
            [shell, "-n"], input=done.stdout, text=True, capture_output=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")


def test_another_shell_is_refused_with_the_choices(program: Program) -> None:
    done = program.run("completion", "tcsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "tcsh" in done.stderr
    assert "fish" in done.stderr


def test_a_commands_name_is_completed(program: Program) -> None:
    assert completed(program, "assistant co") == ["config", "completion"]


def test_a_flag_is_completed(program: Program) -> None:
    assert completed(program, "assistant ask --input") == ["--input", "--input-file"]


def test_a_settings_name_is_completed(program: Program) -> None:
    assert completed(program, "assistant config get sampling.t") == [
        "sampling.temperature",
        "sampling.top_p",
        "sampling.top_k",
    ]
