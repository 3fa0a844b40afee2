from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assistant.sandbox.choosing import Candidate

ROOT = Path(__file__).parents[2]
RUNNER = """
import importlib, sys, time
module, name = sys.argv[1:]
from assistant.sandbox.interface import Job, Limits
backend = getattr(importlib.import_module(module), name)()
source = '''
import os, sys, time
try:
    for _ in range(4):
        if not os.fork():
            os.setsid()
            time.sleep(600)
except PermissionError:
    pass
print(end='ready', flush=True)
time.sleep(600)
'''
processes = [backend.start(Job(source=source), Limits(wall_s=600)) for _ in range(2)]
while not all(bytes(process._content) for process in processes):
    time.sleep(0.01)
print('ready', flush=True)
time.sleep(600)
"""


def kill_a_runner(backend: Candidate) -> None:
    """Kill a runner of jobs and wait until all that it started has ended."""
    command = [sys.executable, "-c", RUNNER, type(backend).__module__, type(backend).__name__]
    runner = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True)
    assert runner.stdout is not None
    with runner.stdout as pipe:
        assert pipe.readline() == b"ready\n"
        family = [os.pidfd_open(child) for child in find_family(runner.pid)]
        assert len(family) >= 2
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    for handle in family:
        assert select.select([handle], [], [], 10)[0], "a process is left"
        os.close(handle)


def find_family(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found += [child, *find_family(child)]
    return found


def test_nothing_is_left_when_the_runner_is_killed(backend: Candidate) -> None:
    kill_a_runner(backend)


@pytest.mark.slow
def test_nothing_is_left_in_20_kills(backend: Candidate) -> None:
    for _ in range(20):
        kill_a_runner(backend)
