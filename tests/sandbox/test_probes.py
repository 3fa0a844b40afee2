from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from assistant.sandbox import probes
from assistant.sandbox.attacks import ATTACKS
from assistant.sandbox.bubblewrap import Bubblewrap
from assistant.sandbox.choosing import Candidate
from assistant.sandbox.interface import Ended, Job, Limits, Outcome, Process
from assistant.sandbox.landlock import Landlock
from assistant.sandbox.probes import build_attack, find_leaks, lay_bait

HARMLESS = (
    *("read_secret", "list_home", "read_passwd", "write_beside_secret", "write_readable", "connect_tcp"),
    *("connect_unix", "connect_abstract", "send_by_pair", "read_environment", "read_host_process"),
)
"""What may be tried with no sandbox around it."""


def test_nothing_gets_out(backend: Candidate) -> None:
    assert find_leaks(backend) == []


def test_probes_see_what_is_no_sandbox() -> None:
    with lay_bait() as bait:
        source = build_attack(bait, [*HARMLESS, "send_udp"])
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
        touched = bait.find_touched()
    verdicts = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    reached = {name for name, verdict in verdicts.items() if verdict == "through"}
    assert reached == set(HARMLESS)
    assert set(touched) == {"write_beside_secret", "write_readable", "a connection"}
    assert touched.count("a connection") == 5


def test_a_probe_that_is_not_tried_counts_as_a_leak() -> None:
    class Silent:
        name = "silent"
        channel: socket.socket | None = None

        def start(self, job: Job, limits: Limits) -> Process:
            return self

        def wait(self) -> Ended:
            return Ended(
                outcome=Outcome.EXITED, exit_code=0, output=b"", is_cut=False, seconds=0, sandbox="silent"
            )

        def stop(self) -> None:
            raise AssertionError

    with lay_bait() as bait:
        leaks = probes._attack(Silent(), bait)  # pyright: ignore[reportPrivateUsage]
    assert len(leaks) == len(ATTACKS)


def test_scratch_can_be_written_in_bubblewrap_and_not_with_landlock_alone(
    bubblewrap: Bubblewrap, landlock: Landlock
) -> None:
    job = Job(source="open('kept', 'w').write('x' * 9); print(len(open('kept').read()))")
    assert bubblewrap.start(job, Limits()).wait().output == b"9\n"
    assert b"PermissionError" in landlock.start(job, Limits()).wait().output


@pytest.mark.parametrize(
    "call", ["os.fork()", "os.execv('/bin/true', ['true'])", "os.posix_spawn('/bin/true', ['true'], {})"]
)
def test_landlock_lets_no_process_start_another(landlock: Landlock, call: str) -> None:
    ended = landlock.start(Job(source=f"import os; {call}"), Limits()).wait()
    assert b"Operation not permitted" in ended.output


def test_landlock_lets_no_job_outlive_its_parent_by_asking(landlock: Landlock) -> None:
    source = "import ctypes; print(ctypes.CDLL(None).prctl(1, 0, 0, 0, 0))"
    assert landlock.start(Job(source=source), Limits()).wait().output == b"-1\n"


def test_threads_can_be_used_with_landlock(landlock: Landlock) -> None:
    source = "import threading as t; x = t.Thread(target=print, args=('on',)); x.start(); x.join()"
    assert landlock.start(Job(source=source), Limits()).wait().output == b"on\n"
