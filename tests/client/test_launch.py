from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import filelock
import pytest

import assistant.server
from assistant import launch, paths
from assistant.answers import collect_answer
from assistant.client import calls, create_generator
from assistant.client.calls import Health, find_health
from assistant.client.stopping import find_server_pid
from assistant.config import Config, GeneratorSettings
from assistant.errors import GeneratorError
from assistant.requests import Loading, build_task_request
from assistant.server.log import FILE_NAME
from tests.client.conftest import Daemon
from tests.client.stub_server import StubServer, json_reply

CONFIG = Config()


def ensure_running(config: Config = CONFIG) -> list[str]:
    stages: list[Loading] = []
    launch.ensure_running(config, stages.append)
    return [stage.stage for stage in dict.fromkeys(stages)]


def within(seconds: float) -> Config:
    return replace(CONFIG, generator=GeneratorSettings(connect_timeout_s=seconds))


def test_client_and_server_speak_the_same_protocol() -> None:
    assert calls.PROTOCOL == assistant.server.PROTOCOL


def test_the_log_is_where_the_server_writes_it() -> None:
    assert launch.log_path().name == FILE_NAME


def test_a_running_generator_is_left_alone(ours: StubServer) -> None:
    assert ensure_running() == []
    assert [request.path for request in ours.requests] == ["/health"]


def test_nobody_there_starts_a_generator_of_its_own_session(daemon: Daemon) -> None:
    assert ensure_running() == ["starting the generator"]
    (pid,) = daemon.starts()
    assert os.getsid(pid) == pid
    assert find_server_pid() == pid


def test_a_question_starts_the_generator_that_answers_it(daemon: Daemon) -> None:
    answer = collect_answer(create_generator(CONFIG).stream(build_task_request("t")))
    assert answer.text == "hello"


def test_sixteen_callers_at_once_start_one_process(daemon: Daemon) -> None:
    failures: list[BaseException] = []
    barrier = threading.Barrier(16)

    def call() -> None:
        barrier.wait()
        try:
            ensure_running()
        except BaseException as error:  # noqa: BLE001  shown below
            failures.append(error)

    threads = [threading.Thread(target=call) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(daemon.starts()) == 1


def test_a_socket_without_a_process_is_no_obstacle(daemon: Daemon) -> None:
    ensure_running()
    os.kill(daemon.starts()[0], signal.SIGKILL)
    while find_health() is not None:
        pass
    assert paths.socket_path().exists()

    ensure_running()

    assert find_server_pid() == daemon.starts()[1]


def test_a_killed_launcher_leaves_no_lock_behind(daemon: Daemon) -> None:
    paths.runtime_dir().mkdir(mode=0o700)
    lock = paths.runtime_dir() / "launch.lock"
    program = (
        f"import filelock; f = filelock.FileLock({str(lock)!r}); f.acquire(); print(flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(filelock.Timeout):
            filelock.FileLock(lock).acquire(blocking=False)
        holder.kill()
        holder.wait()
    ensure_running()
    assert len(daemon.starts()) == 1


def test_a_start_that_loses_the_lock_waits_for_the_winner(
    home: Path, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first process says that another one serves, and none does: it was just ending.
    first = home / "first"
    script = launch.SERVER_ARGUMENTS[1]
    program = (
        "import pathlib, runpy, sys\n"
        f"first = pathlib.Path({str(first)!r})\n"
        "if not first.exists():\n"
        "    first.touch(); sys.exit(0)\n"
        f"sys.argv = [{script!r}]; runpy.run_path({script!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-c", program))
    ensure_running()
    assert first.exists()
    assert len(daemon.starts()) == 1


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("import sys; print('error: no room', file=sys.stderr); print('bye'); sys.exit(5)", "no room"),
        ("raise RuntimeError('what now')", "RuntimeError: what now"),
        ("import sys; sys.exit(9)", "exit code 9"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        ("print('\\x1b[31merror\\x1b[0m'); raise SystemExit(1)", "error"),
    ],
)
def test_a_start_that_fails_is_told_with_the_last_word_of_its_log(
    home: Path, monkeypatch: pytest.MonkeyPatch, program: str, reason: str
) -> None:
    monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-c", program))
    with pytest.raises(GeneratorError) as caught:
        ensure_running()
    assert reason in caught.value.message
    assert caught.value.message.isprintable()
    assert "assistant doctor" in caught.value.hint


def test_the_log_of_an_earlier_start_is_not_blamed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("raise SystemExit('error: old')", "raise SystemExit('new')"):
        monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-c", program))
        with pytest.raises(GeneratorError) as caught:
            ensure_running()
    assert "new" in caught.value.message


def test_a_start_that_takes_too_long_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-c", "import signal; signal.alarm(5); signal.pause()"))
    with pytest.raises(GeneratorError, match="did not come up in 0 s"):
        ensure_running(within(0.3))


def test_waiting_can_be_cancelled(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-c", "import signal; signal.alarm(5); signal.pause()"))
    cancelled = threading.Event()
    launch.ensure_running(CONFIG, lambda _: cancelled.set(), cancelled=cancelled)
    assert find_health() is None


def test_the_process_gets_nothing_of_the_terminal_that_started_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = home / "seen.json"
    program = (
        "import json, os, sys\n"
        "content = {'env': dict(os.environ), 'cwd': os.getcwd(), 'stdin': sys.stdin.read()}\n"
        f"json.dump(content, open({str(seen)!r}, 'w'))\n"
        "raise SystemExit('error: done')\n"
    )
    for name in ("TMUX", "COLUMNS", "PYTHONINSPECT", "ASSISTANT_GENERATOR_TOKEN"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/cuda/lib64")
    monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-c", program))
    with pytest.raises(GeneratorError):
        ensure_running()

    content = json.loads(seen.read_text(encoding="utf-8"))

    environment = content["env"]
    assert not {"TMUX", "COLUMNS", "PYTHONINSPECT", "ASSISTANT_GENERATOR_TOKEN"} & set(environment)
    assert environment["LD_LIBRARY_PATH"] == "/opt/cuda/lib64"
    assert environment["ASSISTANT_HOME"] == str(home)
    assert content["cwd"] == str(paths.runtime_dir())
    assert content["stdin"] == ""


def test_log_and_directories_are_for_this_user_alone(daemon: Daemon) -> None:
    ensure_running()
    modes = [
        stat.S_IMODE(path.lstat().st_mode)
        for path in (paths.runtime_dir(), paths.log_dir(), launch.output_path())
    ]
    assert modes == [0o700, 0o700, 0o600]


def test_a_long_log_gives_way_to_a_new_one(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "MAX_LOG_BYTES", 10)
    paths.log_dir().mkdir(mode=0o700)
    launch.output_path().write_text("a long old log", encoding="ascii")
    ensure_running()
    assert launch.output_path().with_suffix(".old.log").read_text(encoding="ascii") == "a long old log"
    assert launch.output_path().stat().st_size == 0


def test_a_generator_of_an_older_version_is_replaced(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.use("--version", "1.2.3")
    monkeypatch.setattr(launch, "__version__", "1.2.3")
    ensure_running()
    daemon.use("--version", "1.3")
    monkeypatch.setattr(launch, "__version__", "1.3")

    stages = ensure_running()

    assert stages[0] == "replacing the generator of version 1.2.3"
    assert stages[-1] == "starting the generator"
    assert find_server_pid() == daemon.starts()[-1] != daemon.starts()[0]


def test_an_older_generator_that_does_not_end_is_an_error(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.use("--version", "0.9", "--stubborn")
    monkeypatch.setattr(launch, "__version__", "0.9")
    ensure_running()
    monkeypatch.setattr(launch, "__version__", "1.0")
    with pytest.raises(GeneratorError, match=r"version 0\.9 did not end in 0 s"):
        ensure_running(within(0.3))


def test_a_program_of_an_older_version_uses_a_newer_generator(
    ours: StubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "__version__", "0.0.1")
    assert ensure_running() == []


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Health(status="ready", protocol=2, version="9.9"), "newer than this program"),
        (Health(status="stuck"), "has not gone on"),
        (Health(status="silent"), "has not gone on"),
    ],
)
def test_a_generator_that_cannot_be_used_is_an_error_with_a_way_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, health: Health, words: str
) -> None:
    monkeypatch.setattr(launch, "find_health", lambda: health)
    with pytest.raises(GeneratorError, match=words) as caught:
        ensure_running(within(0.1))
    assert "assistant stop" in caught.value.hint


@pytest.mark.parametrize("status", ["loading", "failed"])
def test_a_generator_without_its_model_is_running(ours: StubServer, status: str) -> None:
    ours.on("GET /health", json_reply({"status": status, "message": "m"}, status=503))
    assert ensure_running() == []


def test_a_listener_that_says_nothing_is_silent(home: Path, ours: StubServer) -> None:
    silence = threading.Event()
    ours.on("GET /health", replace(json_reply({}), parts=(silence,)))
    health = find_health(timeout_s=0.2)
    silence.set()
    assert health == Health(status="silent")
