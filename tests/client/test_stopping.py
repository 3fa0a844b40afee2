from __future__ import annotations

import os
import signal
from pathlib import Path

from assistant import launch, paths
from assistant.client.calls import find_health
from assistant.client.stopping import Stopped, find_server_pid, stop_running
from assistant.config import Config
from tests.client.conftest import Daemon


def start() -> None:
    launch.ensure_running(Config(), lambda _: None)


def test_nothing_to_stop_is_no_error(home: Path) -> None:
    assert find_server_pid() is None
    assert stop_running() is Stopped.NOT_RUNNING


def test_a_generator_ends_when_it_is_asked(daemon: Daemon) -> None:
    start()
    assert stop_running() is Stopped.ASKED
    assert find_health() is None
    assert not paths.socket_path().exists()


def test_one_that_lost_its_token_is_ended_all_the_same(daemon: Daemon) -> None:
    start()
    paths.token_path().unlink()
    assert stop_running() is Stopped.ASKED


def test_one_that_does_not_end_when_asked_is_killed(daemon: Daemon) -> None:
    daemon.use("--stubborn")
    start()
    assert stop_running(terminate_after_s=0.2, kill_after_s=0.4) is Stopped.KILLED
    assert find_server_pid() is None


def test_one_that_hangs_is_killed(daemon: Daemon) -> None:
    start()
    os.kill(daemon.starts()[0], signal.SIGSTOP)
    assert stop_running(terminate_after_s=0.2, kill_after_s=0.4) is Stopped.KILLED


def test_after_a_stop_the_next_caller_starts_anew(daemon: Daemon) -> None:
    start()
    stop_running()
    start()
    assert len(daemon.starts()) == 2
