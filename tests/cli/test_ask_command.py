"""`assistant ask` as a shell meets it: flags, pipes, signals, a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from program import ROOT, Program

PATCH = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests" / "support")!r})
import assistant.client
from assistant.requests import *
from assistant.errors import *
from listed import ListedGenerator, answer_events
generator = ListedGenerator(EVENTS)
assistant.client.create_generator = lambda config: generator
"""
FENCED = r"answer_events('Sure:\n```python\n', 'x = [1,\n', '     2]\n', '```\nDone.')"
CODE = "x = [1,\n     2]\n"
ENDLESS = r"answer_events('```python\nx = 1\ny = 2\n')[:-1]"


@pytest.fixture
def ask(program: Program, monkeypatch: pytest.MonkeyPatch) -> Program:
    """`assistant` with a generator that says what `answering` tells it to."""
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "http://127.0.0.1:9/v1")  # no model is fetched for it
    return answering(program, FENCED)


def answering(program: Program, events: str, after: str = "") -> Program:
    program.patch = PATCH.replace("EVENTS", events) + after
    return program


def echoing(program: Program) -> Program:
    """Let the answer be the input it was asked with."""
    after = """
class Echo(ListedGenerator):
    def stream(self, request):
        self.events = answer_events("text = " + repr(request.turns[0].input))
        return super().stream(request)
generator = Echo([])
"""
    return answering(program, "[]", after)


def hanging(program: Program, *, ignores_close: bool = False) -> Program:
    after = f"generator = ListedGenerator({ENDLESS}, hangs=True, ignores_close={ignores_close})\n"
    return answering(program, "[]", after)


def wait_for(path: Path, content: bytes) -> None:
    deadline = time.monotonic() + 30
    while content not in path.read_bytes():
        assert time.monotonic() < deadline, path.read_bytes()
        time.sleep(0.02)


def test_a_pipe_gets_the_code_and_nothing_else(ask: Program) -> None:
    done = ask.run("ask", "make a list")
    assert (done.returncode, done.stdout, done.stderr) == (0, CODE, "")


def test_a_file_by_redirection_and_by_flag_have_the_same_bytes(ask: Program, tmp_path: Path) -> None:
    with (tmp_path / "redirected").open("wb") as file:
        ask.run("ask", "x", stdout=file)
    assert ask.run("ask", "x", "-o", "flag").returncode == 0
    assert (tmp_path / "redirected").read_bytes() == (tmp_path / "flag").read_bytes() == CODE.encode()


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_a_locale_changes_no_byte(locale: str, ask: Program) -> None:
    answering(ask, r"answer_events('s = \'\u6f22\u5b57 \u303d\'\n')")
    environment = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": ""}
    assert ask.run("ask", "x", env=environment).stdout == "s = '漢字 〽'\n"


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--temperature", "2.5"], "--temperature must be a number from 0 to 2, got 2.5"),
        (["--temperature", "nan"], "--temperature must be a number from 0 to 2, got nan"),
        (["--temperature=-1"], "--temperature must be a number from 0 to 2, got -1"),
        (["--top-p", "0"], "--top-p must be a number from 0.01 to 1, got 0"),
        (["--top-p", "x"], "--top-p must be a number from 0.01 to 1, got x"),
        (["--max-tokens", "0"], "--max-tokens must be a whole number from 1 to 131072, got 0"),
        (["--max-tokens", "1.5"], "--max-tokens must be a whole number from 1 to 131072, got 1.5"),
        (["--seed", "-1"], "--seed must be a whole number from 0 to 9223372036854775807, got -1"),
        (["--n", "17"], "--n must be a whole number from 1 to 16, got 17"),
        (["--timeout", "0"], "--timeout must be a number from 0.1 to 86400, got 0"),
        (["--stop", ""], "--stop must have from 1 to 64 characters, got 0"),
        (["--stop", "s"] * 9, "--stop may be given 8 times at most, got 9"),
        (["-o", ""], "--output needs the name of a file, got an empty one"),
        (["--code", "--json"], "--code and --json exclude each other"),
        (["--force"], "--force means something only with -o FILE"),
        (["--input-file", "none.py"], "there is no file none.py"),
        (["more"], "ask takes one TASK, got 2: x more"),
    ],
)
def test_wrong_usage_is_one_line_that_names_flag_value_and_range(
    flags: list[str], complaint: str, ask: Program
) -> None:
    done = ask.run("ask", "x", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == f"error: {complaint}"


@pytest.mark.parametrize("arguments", [[], [""], ["  \n"]])
def test_without_a_task_there_is_nothing_to_ask(arguments: list[str], ask: Program) -> None:
    done = ask.run("ask", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")


def test_a_task_that_starts_with_a_dash_can_be_asked(ask: Program) -> None:
    assert ask.run("ask", "--", "-x").returncode == 0


def test_the_target_is_looked_at_before_anything_is_asked(ask: Program, tmp_path: Path) -> None:
    answering(ask, FENCED, "assistant.client.create_generator = None")
    (tmp_path / "there.py").write_text("mine", encoding="utf-8")
    for target, complaint in (("there.py", "there.py exists"), ("no/dir.py", "there is no directory")):
        done = ask.run("ask", "x", "-o", target)
        assert done.returncode == 2
        assert complaint in done.stderr
    assert (tmp_path / "there.py").read_text(encoding="utf-8") == "mine"


def test_settings_are_the_defaults_of_the_flags(ask: Program, home: Path, tmp_path: Path) -> None:
    (home / "config.toml").write_text("[sampling]\ntemperature = 0.3\nmax_tokens = 5\n", encoding="utf-8")
    (tmp_path / ".assistant.toml").write_text("[sampling]\nmax_tokens = 6\n", encoding="utf-8")
    flags = ("--top-p", "0.5", "--top-k", "9", "--min-p", "0.1", "--repetition-penalty", "1.2", "--no-guard")
    params = json.loads(ask.run("ask", "x", "--json", *flags).stdout)["params"]
    assert params == {
        "temperature": 0.3,
        "top_p": 0.5,
        "top_k": 9,
        "min_p": 0.1,
        "repetition_penalty": 1.2,
        "syntax_guard": False,
        "max_tokens": 6,
        "stop": [],
        "n": 1,
    }


def test_a_wrong_setting_is_told_before_anything_is_asked(ask: Program, home: Path) -> None:
    (home / "config.toml").write_text("[sampling]\ntemperature = 3\n", encoding="utf-8")
    done = ask.run("ask", "x")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{home / 'config.toml'}:2: sampling.temperature must be" in done.stderr


def test_a_pipe_is_the_input(ask: Program) -> None:
    done = echoing(ask).run("ask", "x", fed="grüße\r\n".encode())
    assert done.stdout == "text = 'grüße'\n"


def test_the_task_can_be_piped(ask: Program) -> None:
    content = json.loads(echoing(ask).run("ask", "-", "--json", fed=b"sort it").stdout)
    assert (content["task"], content["input"]) == ("sort it", "")


def test_a_standard_input_that_never_ends_is_no_reason_to_hang(ask: Program) -> None:
    reading, writing = os.pipe()
    try:
        done = ask.run("ask", "x", stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert (done.returncode, done.stdout) == (0, CODE)
    assert done.stderr.startswith("warning: standard input is open but silent for 0.5 s: going on without it")
    assert len(done.stderr.splitlines()) == 1


def test_a_megabyte_of_input_arrives_whole(ask: Program) -> None:
    content = json.loads(echoing(ask).run("ask", "x", "--json", fed=b"x" * 2**20).stdout)
    assert content["input"] == "x" * 2**20


def test_an_interrupt_keeps_what_came_and_cancels_the_rest(ask: Program, tmp_path: Path) -> None:
    hanging(ask)
    ask.patch += (
        "\nimport atexit; atexit.register(lambda: print(generator.is_closed.is_set(), file=sys.stderr))"
    )
    process = ask.start("ask", "x", "--stream-json")
    wait_for_token(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"True\n")
    answer = json.loads(out.splitlines()[-1])
    assert (answer["event"], answer["finish_reason"]) == ("answer", "cancelled")
    assert answer["code"] == "x = 1\ny = 2\n"


def wait_for_token(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    for line in iter(process.stdout.readline, b""):
        if b'"token"' in line:
            return
    raise AssertionError("no token came")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_code_so_far_in_the_pipe(
    number: int, code: int, ask: Program, tmp_path: Path
) -> None:
    hanging(ask)
    started = tmp_path / "started"
    ask.patch += f"""
import assistant.commands.progress_line as p
class Noted(p.ProgressLine):
    def note_event(self, event):
        super().note_event(event)
        if isinstance(event, Token): open({str(started)!r}, "w").write("token")
p.ProgressLine = Noted
"""
    started.touch()
    process = ask.start("ask", "x")
    wait_for(started, b"token")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (code, b"x = 1\ny = 2\n", b"")


def test_a_second_interrupt_ends_it_at_once(ask: Program) -> None:
    process = hanging(ask, ignores_close=True).start("ask", "x", "--stream-json")
    wait_for_token(process)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (130, b"")
    assert b"answer" not in out


def test_an_ignored_interrupt_stays_ignored(ask: Program) -> None:
    ask = hanging(ask)
    process = ask.start(
        "ask", "x", "--stream-json", "--timeout", "1.5",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    wait_for_token(process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 4


MUCH = r"answer_events(*['x = 1\n'] * 20000)"


def test_a_pipe_made_non_blocking_by_the_other_side_gets_every_byte(ask: Program) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with answering(ask, MUCH).start("ask", "x", "--full", stdout=writing) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as out:
            assert out.read() == b"x = 1\n" * 20000
    assert process.returncode == 0


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_leaves_ends_it_with_141(unbuffered: str, ask: Program) -> None:
    process = answering(ask, MUCH).start("ask", "x", "--full", env={"PYTHONUNBUFFERED": unbuffered})
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    assert (process.stderr.read(), process.wait(timeout=30)) == (b"", 141)
    process.stderr.close()


def test_a_full_disk_behind_standard_output_is_told(ask: Program) -> None:
    with Path("/dev/full").open("wb") as full:
        done = ask.run("ask", "x", stdout=full)
    assert done.returncode == 74
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


def test_colour_can_be_forced_into_a_pipe(ask: Program) -> None:
    for flags, environment in ((["--color", "always"], {}), ([], {"FORCE_COLOR": "1"})):
        assert "\x1b[36m1\x1b[0m" in ask.run("ask", "x", *flags, env=environment).stdout
    assert ask.run("ask", "x", "--color", "always", "--json").stdout.isprintable() is False
    assert "\x1b" not in ask.run("ask", "x", "--color", "always", "--json").stdout


def read_screen(ask: Program, *arguments: str, **environment: str) -> str:
    screen = ask.start_on_terminal(*arguments, **environment)
    text = screen.read()
    screen.close()
    assert screen.exitstatus == 0
    return text


def test_a_terminal_gets_coloured_code_and_one_summary(ask: Program) -> None:
    text = read_screen(ask, "ask", "x")
    assert "x = [\x1b[36m1\x1b[0m,\r\n" in text
    assert "```" not in text
    assert "Sure" not in text
    assert text.endswith("\x1b[2mtiny · 4 tokens · 12.3 tok/s · stop\x1b[0m\r\n")


@pytest.mark.parametrize(
    ("flags", "environment"),
    [([], {"NO_COLOR": "1"}), (["--color", "never"], {})],
)
def test_a_terminal_without_colours_has_none(
    flags: list[str], environment: dict[str, str], ask: Program
) -> None:
    text = read_screen(ask, "ask", "x", *flags, **environment)
    assert "x = [1,\r\n" in text
    assert "     2]\r\n" in text
    assert not re.search(r"\x1b\[\d*m", text)


def test_a_dumb_terminal_gets_no_escape_at_all(ask: Program) -> None:
    text = read_screen(ask, "ask", "x", TERM="dumb")
    assert text == "x = [1,\r\n     2]\r\ntiny · 4 tokens · 12.3 tok/s · stop\r\n"


def test_quiet_on_a_terminal_is_the_code_alone(ask: Program) -> None:
    assert read_screen(ask, "ask", "x", "-q", NO_COLOR="1") == "x = [1,\r\n     2]\r\n"


def test_what_the_model_says_commands_no_terminal(ask: Program) -> None:
    answering(ask, r"answer_events('x = \"\x1b[2J\x1b]0;t\x07\"\n')")
    for flags in ([], ["--full"]):
        text = read_screen(ask, "ask", "x", *flags, NO_COLOR="1")
        assert 'x = "[2J]0;t"\r\n' in text
        assert "\x07" not in text


def test_a_person_sees_what_goes_on_and_can_end_it(ask: Program) -> None:
    screen = hanging(ask).start_on_terminal("ask", "x", NO_COLOR="1")
    screen.expect_exact("x = 1\r\n")
    screen.expect(r"tiny · 1 tokens · [\d.]+ tok/s · [\d.]+ s")
    screen.sendintr()
    rest = screen.read()
    screen.close()
    assert screen.exitstatus == 130
    assert "Traceback" not in rest


def test_on_a_terminal_a_task_can_be_typed(ask: Program) -> None:
    screen = echoing(ask).start_on_terminal("ask", "-", NO_COLOR="1")
    screen.expect_exact("Ctrl-D on a line of its own ends it")
    screen.sendline("sort it")
    screen.sendeof()
    screen.expect_exact("text = ''")
    screen.expect("stop")
    screen.close()
