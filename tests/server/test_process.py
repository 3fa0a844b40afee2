from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from tests.server.harness import WAIT_S, wait_until

SCRIPT = {"model": "demo", "pieces": ["x"] * 100_000, "step_s": 0.005, "context_tokens": 200_000}
ROOT = Path(__file__).parents[2]


class Process:
    """A server in a process of its own."""

    def __init__(self, home: Path, *arguments: str, is_scripted: bool = True, **environment: str) -> None:
        self.held = contextlib.ExitStack()
        """Connections that stay open until the test ends."""
        self.home = home
        self.run = home / "run"
        self.socket_file = self.run / "generator.sock"
        self.token_file = self.run / "token"
        script = ["--scripted", str(home / "script.json")] if is_scripted else []
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "assistant.server", *script, *arguments],
            cwd=ROOT,
            env={**os.environ, "ASSISTANT_HOME": str(home), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self, status: str = "ready") -> Process:
        wait_until(lambda: self.popen.poll() is not None or self.find_status() == status, status)
        assert self.popen.poll() is None, self.popen.communicate()
        return self

    def find_status(self) -> str | None:
        try:
            # httpx2 leaves its socket open when nobody listens.
            self.connect().close()
            return self.call("GET", "/health").json()["status"]
        except (httpx2.TransportError, OSError):
            return None

    def call(self, method: str, path: str, content: Any = None, token: str = "") -> httpx2.Response:
        token = token or self.token_file.read_text()
        with self.client(token) as client:
            return client.request(method, path, json=content)

    def client(self, token: str) -> httpx2.Client:
        return httpx2.Client(
            transport=httpx2.HTTPTransport(uds=str(self.socket_file)),
            base_url="http://localhost",
            headers={"authorization": f"Bearer {token}"},
            timeout=WAIT_S,
        )

    def connect(self, *parts: str) -> socket.socket:
        """Open a connection and send the beginning of a request."""
        connection = self.held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        connection.connect(str(self.socket_file))
        connection.sendall("".join(parts).encode())
        return connection

    def start_stream(self, **fields: Any) -> socket.socket:
        body = json.dumps({"prompt": "x", "stream": True, "max_tokens": 100_000, **fields})
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        kind = (
            f"Content-Type: application/json\r\nAuthorization: Bearer {self.token_file.read_text()}\r\n\r\n"
        )
        connection = self.connect(head, kind, body)
        wait_until(lambda: self.call("GET", "/v1/status").json()["active_sequences"] == 1)
        return connection

    def end(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(WAIT_S)

    def left_behind(self) -> list[str]:
        return sorted(path.name for path in self.run.iterdir() if path.name != "lock")

    @property
    def log(self) -> str:
        return "".join(path.read_text() for path in (self.home / "log").iterdir())


StartProcess = Callable[..., Process]


@pytest.fixture
def start(home: Path) -> Iterator[StartProcess]:
    started: list[Process] = []
    (home / "script.json").write_text(json.dumps(SCRIPT))

    def start_one(*arguments: str, script: dict[str, Any] | None = None, **options: Any) -> Process:
        if script is not None:
            (home / "script.json").write_text(json.dumps({**SCRIPT, **script}))
        started.append(Process(home, *arguments, **options))
        return started[-1]

    yield start_one
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
        process.popen.communicate()
        process.held.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_only_this_user_can_reach_anything(start: StartProcess) -> None:
    process = start().wait_ready()
    assert [mode(path) for path in (process.run, process.socket_file, process.token_file)] == [
        0o700,
        0o600,
        0o600,
    ]
    assert stat.S_ISSOCK(process.socket_file.lstat().st_mode)
    log = process.home / "log"
    assert (mode(log), mode(log / "server.log"), mode(process.run / "lock")) == (0o700, 0o600, 0o600)


def test_modes_do_not_depend_on_the_umask(start: StartProcess) -> None:
    old = os.umask(0)
    try:
        process = start().wait_ready()
    finally:
        os.umask(old)
    assert [mode(path) for path in (process.run, process.socket_file, process.token_file)] == [
        0o700,
        0o600,
        0o600,
    ]
    assert mode(process.home / "log" / "server.log") == 0o600


def test_nothing_listens_on_the_network(start: StartProcess) -> None:
    process = start().wait_ready()
    with process.start_stream():
        assert psutil.Process(process.popen.pid).net_connections(kind="inet") == []


def test_scripted_server_loads_no_torch(start: StartProcess) -> None:
    process = start().wait_ready()
    assert not [m.path for m in psutil.Process(process.popen.pid).memory_maps() if "torch" in m.path]


def test_memory_is_never_dumped(start: StartProcess) -> None:
    process = start().wait_ready()
    assert psutil.Process(process.popen.pid).rlimit(resource.RLIMIT_CORE) == (0, 0)


def test_server_over_an_empty_store_says_what_is_missing_and_loads_no_torch(start: StartProcess) -> None:
    process = start(is_scripted=False).wait_ready("failed")
    error = process.call("POST", "/v1/completions", {"prompt": "x"}).json()["error"]
    assert error["code"] == "no_model"
    assert not [m.path for m in psutil.Process(process.popen.pid).memory_maps() if "torch" in m.path]
    assert process.end() == 0


def test_damaged_pointer_is_a_failure_that_names_it(start: StartProcess, home: Path) -> None:
    store = home / "data" / "models"
    store.mkdir(parents=True, mode=0o700)
    (store / "active.json").write_text("{")
    process = start(is_scripted=False).wait_ready("failed")
    assert "active.json" in process.call("GET", "/health").json()["message"]


def test_token_is_new_at_each_start(start: StartProcess) -> None:
    first = start().wait_ready()
    old_token = first.token_file.read_text()
    assert first.end() == 0
    second = start().wait_ready()
    assert second.call("GET", "/v1/status", token=old_token).status_code == 401
    assert second.call("GET", "/v1/status").status_code == 200


def test_second_server_gives_way(start: StartProcess) -> None:
    first = start().wait_ready()
    token = first.token_file.read_text()
    second = start()
    _, said = second.popen.communicate(timeout=WAIT_S)
    assert (second.popen.returncode, "another generator is running" in said) == (0, True)
    assert first.token_file.read_text() == token
    assert first.find_status() == "ready"


def test_second_server_in_the_foreground_is_an_error(start: StartProcess) -> None:
    start().wait_ready()
    second = start("--foreground")
    _, said = second.popen.communicate(timeout=WAIT_S)
    assert (second.popen.returncode, said.startswith("error: another generator is running")) == (3, True)


def test_of_sixteen_that_start_at_once_one_serves(start: StartProcess) -> None:
    processes = [start() for _ in range(16)]
    wait_until(lambda: sum(process.popen.poll() is None for process in processes) == 1)
    [winner] = [process for process in processes if process.popen.poll() is None]
    assert {process.popen.returncode for process in processes if process is not winner} == {0}
    assert winner.wait_ready().call("GET", "/v1/status").json()["pid"] == winner.popen.pid


def test_socket_of_a_killed_server_is_replaced(start: StartProcess) -> None:
    first = start().wait_ready()
    first.end(signal.SIGKILL)
    assert first.left_behind() == ["generator.sock", "token"]
    second = start().wait_ready()
    assert second.call("GET", "/v1/status").json()["pid"] == second.popen.pid


def end_idle(process: Process) -> None:
    process.wait_ready()


def end_streaming(process: Process) -> None:
    process.wait_ready().start_stream()


def end_with_half_a_body(process: Process) -> None:
    process.wait_ready()
    token = process.token_file.read_text()
    process.connect(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
        f'Content-Length: 100\r\nAuthorization: Bearer {token}\r\n\r\n{{"pro',
    )
    assert process.find_status() == "ready"


def end_with_half_a_head(process: Process) -> None:
    process.wait_ready()
    process.connect("POST /v1/comp")
    assert process.find_status() == "ready"


def end_with_an_idle_connection(process: Process) -> None:
    process.wait_ready()
    process.held.enter_context(process.client("none")).get("/health")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "prepare",
    [end_idle, end_streaming, end_with_half_a_body, end_with_half_a_head, end_with_an_idle_connection],
)
def test_signal_ends_a_server_cleanly(
    start: StartProcess, prepare: Callable[[Process], None], number: signal.Signals
) -> None:
    process = start()
    prepare(process)
    assert process.end(number) == 0
    assert process.left_behind() == []
    assert process.log.rstrip().endswith("ended")


def test_signal_ends_a_server_that_loads(start: StartProcess) -> None:
    process = start(script={"load_s": 10_000}).wait_ready("loading")
    assert process.end() == 0
    assert process.left_behind() == []


def test_signal_at_any_moment_of_the_start_leaves_nothing_behind(start: StartProcess) -> None:
    for tenths in range(0, 10, 2):
        process = start()
        time.sleep(tenths / 10)  # the moment is the point of the test, not a synchronisation
        # Before our first line has run, the signal ends the interpreter itself.
        assert process.end() in (0, -signal.SIGTERM)
        assert not process.run.exists() or process.left_behind() == []
    assert start().wait_ready().end() == 0


def test_stream_that_is_cut_by_the_end_says_so(start: StartProcess) -> None:
    process = start().wait_ready()
    with process.start_stream() as connection:
        process.popen.terminate()
        received = b""
        while part := connection.recv(65536):
            received += part
    assert b'"finish_reason":"cancelled"' in received
    assert b"data: [DONE]" in received
    assert process.popen.wait(WAIT_S) == 0


def test_second_signal_ends_at_once(start: StartProcess) -> None:
    process = start(script={"step_s": 0.0}).wait_ready()
    with process.start_stream():  # nobody reads it, so that the end has to wait for the reader
        process.popen.terminate()
        wait_until(lambda: "stopping" in process.log)
        assert process.end() == 128 + signal.SIGTERM
    assert process.left_behind() == []


def test_request_ends_a_server(start: StartProcess) -> None:
    process = start().wait_ready()
    assert process.call("POST", "/v1/shutdown").json() == {"stopping": True}
    assert process.popen.wait(WAIT_S) == 0
    assert process.left_behind() == []


def test_idle_server_ends_by_itself(start: StartProcess) -> None:
    process = start(ASSISTANT_SERVER_IDLE_EXIT_S="0.5")
    assert process.popen.wait(WAIT_S) == 0
    assert process.left_behind() == []


def test_tcp_is_opened_when_asked_for_and_needs_the_token(start: StartProcess) -> None:
    process = start("--tcp", "127.0.0.1:0").wait_ready()
    _, place = process.call("GET", "/v1/status").json()["transports"]
    url = f"http://{place.removeprefix('tcp:')}/v1/status"
    token = process.token_file.read_text()
    with httpx2.Client(trust_env=False) as client:
        assert client.get(url).status_code == 401
        assert client.get(url, headers={"authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize(
    "place", ["0.0.0.0:0", "[::]:0", "192.168.1.1:8080", "nowhere:80", "8080", "127.0.0.1:x"]
)
def test_tcp_address_that_is_not_this_machines_own_is_refused(start: StartProcess, place: str) -> None:
    process = start("--tcp", place)
    _, said = process.popen.communicate(timeout=WAIT_S)
    assert (process.popen.returncode, said.startswith("error: --tcp")) == (2, True)
    assert "hint: " in said


def test_tcp_address_for_others_needs_a_second_flag(start: StartProcess) -> None:
    process = start("--tcp", "0.0.0.0:0", "--allow-remote").wait_ready()
    assert process.call("GET", "/v1/status").json()["transports"][1].startswith("tcp:0.0.0.0:")


def test_taken_port_is_an_error_that_leaves_nothing_behind(start: StartProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--tcp", f"127.0.0.1:{taken.getsockname()[1]}")
        _, said = process.popen.communicate(timeout=WAIT_S)
    assert (process.popen.returncode, "cannot listen" in said) == (2, True)
    assert process.left_behind() == []


def test_directory_that_others_can_enter_is_refused(start: StartProcess, home: Path) -> None:
    (home / "run").mkdir()
    (home / "run").chmod(0o755)
    process = start()
    _, said = process.popen.communicate(timeout=WAIT_S)
    assert (process.popen.returncode, "can be entered by others" in said) == (2, True)


def test_planted_links_are_not_followed(start: StartProcess, home: Path) -> None:
    (home / "run").mkdir(mode=0o700)
    (home / "precious").write_text("precious")
    for name in ("token", "generator.sock"):
        (home / "run" / name).symlink_to(home / "precious")
    process = start().wait_ready()
    assert (home / "precious").read_text() == "precious"
    assert not process.token_file.is_symlink()


def test_log_in_the_foreground_goes_to_the_terminal_too(start: StartProcess) -> None:
    process = start("--foreground").wait_ready()
    process.popen.terminate()
    _, said = process.popen.communicate(timeout=WAIT_S)
    assert "model demo: active" in said
    assert "ended" in said


def test_nothing_that_a_client_sends_is_ever_logged(start: StartProcess) -> None:
    process = start(script={"pieces": ["ANSWER-MARKER"] * 3}).wait_ready()
    token = process.token_file.read_text()
    prompt = {"messages": [{"role": "user", "content": "PROMPT-MARKER"}]}
    with process.client(token) as client:
        client.post("/v1/chat/completions", json=prompt)
        client.post("/v1/chat/completions", json={**prompt, "stream": True})
        client.post("/v1/chat/completions", json={**prompt, "BODY-MARKER": 1})
        client.post("/v1/chat/completions", json={**prompt, "model": "MODEL-MARKER"})
        client.post("/v1/completions", json={"prompt": "PROMPT-MARKER" * 20_000})
        for body in (
            b'{"BODY-MARKER',
            b'"BODY-MARKER\xff"',
            b"BODY-MARKER",
            b'{"prompt":"BODY-MARKER\\ud800"}',
        ):
            client.post("/v1/completions", content=body, headers={"content-type": "application/json"})
        client.get("/PATH-MARKER?QUERY-MARKER", headers={"x-header": "HEADER-MARKER"})
        client.get("/v1/status", headers={"host": "HEADER-MARKER"})
        client.get("/v1/status", headers={"authorization": "Bearer HEADER-MARKER"})
        client.delete("/v1/requests/PATH-MARKER")
    for broken in ("BODY-MARKER\r\n\r\n", "GET /PATH-MARKER HTTP/1.1\r\nHEADER-MARKER\r\n\r\n"):
        with process.connect(broken) as connection:
            connection.recv(65536)
    process.popen.terminate()
    said = "".join(process.popen.communicate(timeout=WAIT_S))
    assert "chatcmpl-" in process.log
    for text in (process.log, said):
        assert "MARKER" not in text
        assert token not in text
