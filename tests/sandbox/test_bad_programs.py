from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.sandbox.bubblewrap import Bubblewrap
from assistant.sandbox.choosing import Candidate
from assistant.sandbox.interface import Ended, Job, Limits, Outcome, Process

SLEEP = "import time; time.sleep(600)"


def run(backend: Candidate, source: str, limits: Limits | None = None) -> Ended:
    return backend.start(Job(source=source), limits or Limits(wall_s=20)).wait()


def find_children(process: int) -> Iterator[int]:
    """The children of all threads of a process, and theirs."""
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from find_children(int(child))


def test_an_endless_loop_is_ended_by_the_clock(backend: Candidate) -> None:
    ended = run(backend, "while True: pass", Limits(wall_s=0.3))
    assert (ended.outcome, ended.exit_code) == (Outcome.TIMED_OUT, None)


def test_an_endless_loop_is_ended_by_its_processor_time(bubblewrap: Bubblewrap) -> None:
    ended = run(bubblewrap, "while True: pass", Limits(wall_s=60, cpu_s=1))
    assert ended.outcome is Outcome.TIMED_OUT
    assert ended.seconds < 50


def test_a_fork_bomb_is_ended_with_all_its_processes(backend: Candidate) -> None:
    source = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    others = set(find_children(os.getpid()))  # what other tests have left to end by itself
    assert run(backend, source, Limits(wall_s=0.5, processes=16)).outcome is Outcome.TIMED_OUT
    assert set(find_children(os.getpid())) <= others


def test_3_gib_are_refused(backend: Candidate) -> None:
    assert b"MemoryError" in run(backend, "bytearray(3 * 1024**3)").output


def test_a_large_file_is_refused(backend: Candidate) -> None:
    source = "f = open('f', 'wb')\nfor _ in range(200): f.write(bytes(1024**2))"
    assert run(backend, source).exit_code == 1


def test_a_full_scratch_is_an_error_of_the_job(bubblewrap: Bubblewrap) -> None:
    source = "for n in range(40): open(f'f{n}', 'wb').write(bytes(1024**2))"
    ended = run(bubblewrap, source, Limits(scratch_bytes=4 * 1024**2))
    assert b"No space left on device" in ended.output


def test_1_gib_of_output_is_ended_at_the_cap(backend: Candidate) -> None:
    source = "import sys\nfor _ in range(1024): sys.stdout.write('x' * 1024**2)"
    ended = run(backend, source, Limits(output_bytes=10_000))
    assert (ended.outcome, ended.output, ended.is_cut) == (Outcome.TOO_MUCH_OUTPUT, b"x" * 10_000, True)


def test_output_that_just_fits_is_whole(backend: Candidate) -> None:
    ended = run(backend, "print('x' * 9_999)", Limits(output_bytes=10_000))
    assert (ended.outcome, len(ended.output), ended.is_cut) == (Outcome.EXITED, 10_000, False)


def test_deep_recursion_ends(backend: Candidate) -> None:
    assert b"RecursionError" in run(backend, "def f(): f()\nf()").output


def test_a_crash_of_the_interpreter_is_a_kill(backend: Candidate) -> None:
    assert run(backend, "import os; os.abort()").outcome is Outcome.KILLED


@pytest.mark.parametrize("call", ["os._exit(0)", "sys.exit(0)", "exit()"])
def test_an_early_exit_is_an_exit(backend: Candidate, call: str) -> None:
    ended = run(backend, f"import os, sys\n{call}\nprint('never')")
    assert (ended.outcome, ended.exit_code, ended.output) == (Outcome.EXITED, 0, b"")


def test_threads_that_never_end_are_ended_by_the_clock(backend: Candidate) -> None:
    source = (
        "import threading, time\nfor _ in range(4): threading.Thread(target=time.sleep, args=(600,)).start()"
    )
    assert run(backend, source, Limits(wall_s=0.5)).outcome is Outcome.TIMED_OUT


def test_closed_descriptors_do_not_end_the_watch(backend: Candidate) -> None:
    ended = run(backend, f"import os; os.closerange(0, 1000); {SLEEP}", Limits(wall_s=0.4))
    assert (ended.outcome, ended.output) == (Outcome.TIMED_OUT, b"")


def test_reading_standard_input_ends_at_once(backend: Candidate) -> None:
    assert b"EOFError" in run(backend, "input()").output


def test_bytes_that_are_no_text_come_as_they_are(backend: Candidate) -> None:
    assert run(backend, r"import sys; sys.stdout.buffer.write(b'\xff\x00\xfe')").output == b"\xff\x00\xfe"


def test_a_source_of_half_a_mebibyte_runs(backend: Candidate) -> None:
    assert run(backend, "x = 1  # é\n" * 50_000 + "print(x)").output == b"1\n"


def test_a_source_that_is_no_python_is_an_error_of_the_job(backend: Candidate) -> None:
    for source in ("def f(:", "x = '\0'", "# \udce9"):
        assert run(backend, source).exit_code == 1


@pytest.mark.slow
def test_a_handler_that_stands_the_limit_is_killed(backend: Candidate) -> None:
    source = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    ended = run(backend, source, Limits(wall_s=60, cpu_s=1))
    assert ended.outcome in (Outcome.KILLED, Outcome.TIMED_OUT)


def test_a_sandbox_that_is_killed_from_outside_is_said_to_be_killed(backend: Candidate) -> None:
    others = set(find_children(os.getpid()))
    process: Process = backend.start(Job(source=SLEEP), Limits(wall_s=60))
    child = next(one for one in find_children(os.getpid()) if one not in others)
    os.kill(child, signal.SIGKILL)
    ended = process.wait()
    assert (ended.outcome, ended.exit_code) == (Outcome.KILLED, None)
    assert set(find_children(os.getpid())) <= others
