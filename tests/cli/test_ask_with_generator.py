"""`assistant ask` and the shared generator's process, which serves a script instead of a model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from homes import wait_until
from program import Program

from assistant.client.calls import fetch_status, find_health

Serve = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def serve(home: Path, tmp_path: Path) -> Iterator[Serve]:
    """Starts the generator's process with a script."""
    store = home / "data" / "models"
    store.mkdir(parents=True, mode=0o700)
    pointer = {"schema": 1, "active": "scripted", "previous": []}
    (store / "active.json").write_text(json.dumps(pointer), encoding="utf-8")
    started: list[subprocess.Popen[bytes]] = []

    def start(*pieces: str, **fields: Any) -> subprocess.Popen[bytes]:
        script = tmp_path / "script.json"
        script.write_text(json.dumps({"pieces": pieces, **fields}), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "assistant.server", "--scripted", str(script)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        wait_until(lambda: find_health() is not None)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_the_answer_of_the_generator_comes_out_as_code(serve: Serve, program: Program) -> None:
    serve("Sure:\n```python\n", "print('hi')\n", "```\n")
    done = program.run("ask", "greet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "print('hi')\n", "")


def test_loading_is_waited_for_in_silence(serve: Serve, program: Program) -> None:
    serve("x = 1\n", load_s=0.5)
    done = program.run("ask", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, "x = 1\n", "")


def test_an_interrupt_frees_the_generator(serve: Serve, program: Program) -> None:
    serve(*["x = 1\n"] * 3000, step_s=0.02)
    process = program.start("ask", "x", "--full")
    wait_until(lambda: fetch_status().active_sequences == 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, b"")
    assert set(out.splitlines()) <= {b"x = 1"}
    wait_until(lambda: fetch_status().active_sequences == 0)


def test_a_generator_that_dies_leaves_what_came(serve: Serve, program: Program, tmp_path: Path) -> None:
    server = serve("```python\n", *["x = 1\n"] * 3000, step_s=0.01)
    process = program.start("ask", "x", "--stream-json")
    assert process.stdout is not None
    assert any(b"x = 1" in line for line in process.stdout)
    server.kill()
    out, err = process.communicate(timeout=60)
    answer = json.loads(out.splitlines()[-1])
    assert process.returncode == 3
    assert err.startswith(b"error: ")
    assert answer["code"].startswith("x = 1\n")
    assert answer["error"]["exit_code"] == 3


def test_a_deadline_frees_the_generator(serve: Serve, program: Program) -> None:
    serve(*["x = 1\n"] * 3000, step_s=0.02)
    done = program.run("ask", "x", "--timeout", "1")
    assert done.returncode == 4
    wait_until(lambda: fetch_status().active_sequences == 0)


def test_too_long_a_prompt_is_refused_with_both_numbers(serve: Serve, program: Program) -> None:
    serve("x = 1\n", context_tokens=50)
    done = program.run("ask", "x", "--input", "y" * 99)
    assert (done.returncode, done.stdout) == (1, "")
    assert "100" in done.stderr
    assert "50" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_model_is_told_with_the_nearest(serve: Serve, program: Program) -> None:
    serve("x = 1\n")
    done = program.run("ask", "x", "-m", "scriptd")
    assert (done.returncode, done.stdout) == (3, "")
    assert "scriptd" in done.stderr
    assert "scripted" in done.stderr.replace("scriptd", "")


def test_a_cut_off_answer_is_warned_of(serve: Serve, program: Program) -> None:
    serve(*["x = 1\n"] * 9)
    done = program.run("ask", "x", "--max-tokens", "3", "--fail-on-truncation")
    assert (done.returncode, done.stdout) == (1, "x = 1\n" * 3)
    assert done.stderr.startswith("warning: the answer is cut off: it reached --max-tokens 3")


def test_a_person_sees_the_model_load_and_answer(serve: Serve, program: Program) -> None:
    serve("x = 1\n", "y = 2\n", load_s=1.5, step_s=0.3)
    screen = program.start_on_terminal("ask", "x", NO_COLOR="1")
    screen.expect(r"load.* \d+% · [\d.]+ s")
    screen.expect_exact("x = 1\r\n")
    screen.expect_exact("y = 2\r\n")
    screen.expect(r"scripted · 2 tokens .*stop\r\n")
    screen.close()
