from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from assistant.errors import SandboxError
from assistant.sandbox.bubblewrap import Bubblewrap
from assistant.sandbox.interface import Ended, Job, Limits, Outcome

pytestmark = pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")


def run(source: str, *, has_packages: bool = False, limits: Limits | None = None) -> Ended:
    job = Job(source=source, has_packages=has_packages)
    return Bubblewrap().start(job, limits or Limits(wall_s=30)).wait()


def test_a_job_prints_and_ends_with_its_exit_code() -> None:
    ended = run("import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)")
    assert (ended.outcome, ended.exit_code, ended.output) == (Outcome.EXITED, 3, b"out\nerr\n")


def test_a_channel_carries_bytes_both_ways() -> None:
    source = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.sendall(s.recv(9) * 2)"
    process = Bubblewrap().start(Job(source=source, channel=True), Limits())
    assert process.channel is not None
    with process.channel as channel:
        channel.sendall(b"ab")
        assert channel.recv(9) == b"abab"
    assert process.wait().exit_code == 0


def test_a_traceback_shows_the_job_alone() -> None:
    output = run("def f():\n    1 / 0\nf()").output.decode()
    assert output.count("File ") == 2
    assert output.endswith("ZeroDivisionError: division by zero\n")


def test_a_job_sees_no_environment_and_nothing_of_the_home() -> None:
    source = "import os; print(dict(os.environ), os.path.exists(os.path.dirname(%r)), os.listdir('/'))"
    output = run(source % __file__).output.decode()
    assert output.startswith("{} False [")
    assert "'proc'" not in output


def test_what_is_installed_can_be_imported_only_when_asked_for() -> None:
    source = "import click; print('found')"
    assert b"found" in run(source, has_packages=True).output
    assert b"ModuleNotFoundError" in run(source).output


def test_readable_paths_can_be_read_and_not_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "given").write_text("here")
    source = f"p = {str(tmp_path / 'given')!r}; print(open(p).read(), flush=True); open(p, 'w')"
    job = Job(source=source, readable=(tmp_path,))
    output = Bubblewrap().start(job, Limits()).wait().output
    assert output.startswith(b"here\n")
    assert b"Read-only" in output


def test_a_job_inherits_no_other_descriptor() -> None:
    with Path(__file__).open() as file:
        os.set_inheritable(file.fileno(), True)
        source = "import os\nfor n in range(4096):\n  try: os.fstat(n); print(n)\n  except OSError: pass"
        assert run(source).output.split() == [b"0", b"1", b"2"]


def test_a_job_started_from_a_thread_that_ends_goes_on() -> None:
    processes = list[object]()
    source = "import time; time.sleep(0.3); print('alive')"
    sandbox = Bubblewrap()
    thread = threading.Thread(target=lambda: processes.append(sandbox.start(Job(source=source), Limits())))
    thread.start()
    thread.join()
    assert processes[0].wait().output == b"alive\n"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_forked_process_can_start_jobs_as_well() -> None:
    run("pass")
    child = os.fork()
    if child == 0:
        os._exit(0 if run("print(1)").output == b"1\n" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_stopped_job_is_said_to_be_stopped() -> None:
    process = Bubblewrap().start(Job(source="import time; time.sleep(60)"), Limits(wall_s=60))
    process.stop()
    process.stop()
    assert process.wait().outcome is Outcome.STOPPED


def test_a_bwrap_that_is_missing_is_an_error() -> None:
    with pytest.raises(SandboxError, match="no working"):
        Bubblewrap("/nowhere/bwrap").start(Job(source="pass"), Limits())


def test_what_bwrap_says_when_it_cannot_start_is_passed_on(tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    complaint = "bwrap: setting up uid map: Permission denied"
    fake.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.9.0 || {{ echo "{complaint}" >&2; exit 1; }}\n'
    )
    fake.chmod(0o755)
    with pytest.raises(SandboxError, match=complaint):
        Bubblewrap(str(fake)).start(Job(source="pass"), Limits())
