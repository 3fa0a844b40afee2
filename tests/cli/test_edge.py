from __future__ import annotations

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest
from program import Program

from assistant import __version__
from assistant.cli import main

FAILING = """
import assistant.commands.completion, click
def fail(*_):
    {body}
assistant.commands.completion.completion = click.Command("completion", callback=fail)
"""


def failing(program: Program, body: str) -> subprocess.CompletedProcess[str]:
    program.patch = FAILING.format(body=body)
    return program.run("completion")


def test_version_is_one_line_on_standard_output(program: Program) -> None:
    done = program.run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"assistant {__version__}\n", "")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_goes_to_standard_output_with_examples_first(flag: str, program: Program) -> None:
    done = program.run(flag)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: assistant [OPTIONS] COMMAND")
    assert done.stdout.index("Examples:") < done.stdout.index("Options:") < done.stdout.index("Commands:")


def test_no_arguments_at_all_is_wrong_usage_and_helps_on_standard_error(program: Program) -> None:
    done = program.run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: assistant" in done.stderr
    assert len(done.stderr.splitlines()) < 30


def test_an_unknown_command_names_the_nearest(program: Program) -> None:
    done = program.run("aks", "something")
    assert done.returncode == 2
    assert done.stderr == "error: there is no command aks\nhint: did you mean ask?\n"


def test_a_task_without_a_command_is_led_to_ask(program: Program) -> None:
    done = program.run("reverse a list")
    assert done.returncode == 2
    assert done.stderr == 'error: the command is missing before the task\nhint: assistant ask "…"\n'


def test_an_unknown_flag_is_named_in_one_line_with_the_nearest(program: Program) -> None:
    done = program.run("ask", "--temprature", "1", "x")
    assert done.returncode == 2
    first, *rest = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert "--temprature" in first
    assert "--temperature" in first
    assert rest == ["hint: see `assistant ask --help`"]


def test_a_group_without_a_command_helps_on_standard_error(program: Program) -> None:
    done = program.run("config")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: assistant config")


def test_a_failure_a_user_can_mend_is_an_error_a_hint_and_its_exit_code(program: Program) -> None:
    body = "from assistant.errors import ModelError; raise ModelError('no weights', hint='pull them')"
    done = failing(program, body)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "error: no weights\nhint: pull them\n"


def test_an_error_without_a_hint_has_no_hint_line(program: Program) -> None:
    done = failing(program, "from assistant.errors import StorageError; raise StorageError('full')")
    assert (done.returncode, done.stderr) == (74, "error: full\n")


def test_an_error_with_line_breaks_and_escapes_is_one_plain_line(program: Program) -> None:
    body = "from assistant.errors import UsageError; raise UsageError('a\\n\\x1b[31mb\\r\\nc')"
    assert failing(program, body).stderr == "error: a [31mb c\n"


def test_an_interrupt_ends_with_130_and_without_a_traceback(program: Program) -> None:
    done = failing(program, "raise KeyboardInterrupt")
    assert (done.returncode, done.stderr) == (130, "")


def test_an_exit_code_that_a_command_returns_is_the_programs(program: Program) -> None:
    assert failing(program, "return 5").returncode == 5


def test_a_bug_is_one_line_that_names_the_log(program: Program, home: Path) -> None:
    done = failing(program, "task = 'sesame'; raise ValueError(f'bad {task}')")
    assert (done.returncode, done.stdout) == (70, "")
    (log,) = (home / "log").glob("crash-*.log")
    assert (
        done.stderr
        == f"error: a bug in assistant (ValueError); its traceback, without your text, is in {log}\n"
    )
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text(encoding="utf-8")
    assert re.search(r'File "<string>", line \d+, in fail', text)
    assert "builtins.ValueError" in text
    assert __version__ in text


def test_the_log_of_a_bug_holds_nothing_the_user_typed(program: Program, home: Path) -> None:
    program.patch = FAILING.format(body="raise ValueError(f'cannot use {_}')").replace(
        'click.Command("completion", callback=fail)',
        'click.Command("completion", callback=lambda word: fail(word), params=[click.Argument(["word"])])',
    )
    assert program.run("completion", "sesame").returncode == 70
    (log,) = (home / "log").glob("crash-*.log")
    assert "sesame" not in log.read_text(encoding="utf-8")


def test_the_log_of_a_bug_keeps_its_cause(program: Program, home: Path) -> None:
    assert (
        failing(program, "try: None.x\n    except AttributeError as e: raise KeyError('k') from e").returncode
        == 70
    )
    (log,) = (home / "log").glob("crash-*.log")
    text = log.read_text(encoding="utf-8")
    assert "AttributeError: 'NoneType' object has no attribute 'x'" in text
    assert text.index("AttributeError") < text.index("and then:") < text.index("builtins.KeyError")


def test_a_bug_whose_log_cannot_be_written_is_told_on_standard_error(program: Program, home: Path) -> None:
    (home / "log").write_text("", encoding="utf-8")
    done = failing(program, "raise ValueError('sesame')")
    assert done.returncode == 70
    assert "its log cannot be written" in done.stderr
    assert "in fail" in done.stderr
    assert "sesame" not in done.stderr


def test_a_full_standard_output_is_a_storage_error(program: Program) -> None:
    with Path("/dev/full").open("wb") as full:
        for arguments in (["--version"], ["config", "show"], ["--help"]):
            done = program.run(*arguments, stdout=full)
            assert done.returncode == 74, arguments
            assert done.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["config", "show"]])
def test_a_reader_that_leaves_ends_it_with_141_and_in_silence(arguments: list[str], program: Program) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = program.run(*arguments, stdout=writing)
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_standard_error_changes_no_exit_code(program: Program) -> None:
    with Path("/dev/full").open("wb") as full:
        assert program.run("aks", stderr=full).returncode == 2


def test_closed_streams_are_no_bug(program: Program) -> None:
    with program.start("config", "path", stdout=None, preexec_fn=lambda: os.close(1)) as process:
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (74, b"error: standard output is closed\n")
    with program.start("aks", stderr=None, preexec_fn=lambda: os.close(2)) as process:
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, b"")


def test_the_program_can_be_called_from_python(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"assistant {__version__}\n"
    assert main(["nonsense"]) == 2
