"""The process's streams: standard output is the protocol's alone, and a broken stream ends the process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pexpect
import pytest

from tests.lsp.connected import URI
from tests.lsp.raw_client import DEADLINE_S, RawClient, ServerProcess, encode_message

PROGRAM = ["-m", "assistant", "lsp"]
ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., ServerProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts servers with a home of their own and ends them."""
    servers: list[ServerProcess] = []

    def start_one(program: list[str] = PROGRAM, **environment: str) -> ServerProcess:
        home = {"ASSISTANT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
        servers.append(ServerProcess(program, tmp_path / f"log{len(servers)}", home | environment))
        return servers[-1]

    yield start_one
    for server in servers:
        server.kill()


def end(server: ServerProcess) -> int:
    server.client.request("shutdown")
    server.client.notify("exit")
    return server.wait()


def test_nothing_that_a_library_prints_gets_between_messages(start: Start) -> None:
    # pygls#240: a stray print ends the conversation.
    server = start([str(Path(__file__).with_name("polluting.py"))])
    server.client.initialize()
    server.client.open(URI, "a = 1\n")
    assert [entry["title"] for entry in server.client.actions(URI, (0, 0), (0, 0))] == ["Rewrite"]
    assert end(server) == 0
    assert server.client.garbage == b""
    for text in ("printed", "written", "written to the first one", "by descriptor", "by C", "by a child"):
        assert server.read_log().count(f"{text}\n") >= 2


def test_a_message_is_read_however_its_bytes_arrive(start: Start) -> None:
    server = start()
    server.client.initialize()
    body = b'{"jsonrpc": "2.0", "id": "split", "method": "shutdown"}'
    for byte in b"content-length: %d\r\nX-Other: 1\r\n\r\n%b" % (len(body), body):
        server.client.send_bytes(bytes([byte]))
    assert server.client.wait_message(lambda m: m.get("id") == "split")["result"] is None


def test_two_messages_in_one_piece_are_two_messages(start: Start) -> None:
    server = start()
    server.client.initialize()
    pieces = [encode_message({"jsonrpc": "2.0", "id": n, "method": "other"}) for n in ("one", "two")]
    server.client.send_bytes(b"".join(pieces))
    for name in ("one", "two"):
        server.client.wait_message(lambda m, name=name: m.get("id") == name)


def test_a_long_message_is_read(start: Start) -> None:
    server = start()
    server.client.initialize()
    server.client.open(URI, "x = 1\n" * 1_000_000)
    assert server.client.actions("file:///other.py", (0, 0), (0, 0), only=["quickfix"]) == []
    assert end(server) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"Content-Length: -5\r\n\r\n",
        b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"Content-Length: 34000000\r\n\r\n",
        b"Content-Length: twelve\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"hello\n",
    ],
)
def test_a_broken_stream_ends_the_process_with_a_message(start: Start, content: bytes) -> None:
    server = start()
    server.client.initialize()
    server.client.send_bytes(content + b"\n")
    assert server.wait() == 1
    assert "assistant lsp: what the editor sends cannot be read" in server.read_log()


def test_a_stream_that_ends_within_a_message_ends_the_process(start: Start) -> None:
    server = start()
    server.client.initialize()
    server.client.send_bytes(b"Content-Length: 100\r\n\r\n{")
    server.client.close()
    assert server.wait() == 1


def test_the_end_of_the_stream_before_the_handshake_ends_the_process(start: Start) -> None:
    server = start()
    server.client.close()
    assert server.wait() == 1


def test_the_end_of_the_stream_after_shutdown_is_a_clean_end(start: Start) -> None:
    server = start()
    server.client.initialize()
    server.client.request("shutdown")
    server.client.close()
    assert server.wait() == 0


def test_an_editor_that_reads_nothing_can_still_end_it(start: Start, tmp_path: Path) -> None:
    """Its pipe is full of answers that nobody reads."""
    environment = dict(os.environ) | {"ASSISTANT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, *PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert process.stdin is not None
    assert process.stdout is not None
    message = encode_message({"jsonrpc": "2.0", "id": 1, "method": "x" * 50_000})
    process.stdin.write(message * 20)
    process.stdin.write(encode_message({"jsonrpc": "2.0", "method": "exit"}))
    process.stdin.flush()
    assert process.wait(DEADLINE_S) == 1
    process.stdin.close()
    process.stdout.close()


@pytest.mark.parametrize("more", [["--stdio"], ["--stdio", "--clientProcessId=1"]])
def test_the_flags_that_editors_add_are_taken(start: Start, more: list[str]) -> None:
    server = start([*PROGRAM, *more])
    server.client.initialize()
    assert end(server) == 0


def test_the_server_loads_no_model_library(start: Start) -> None:
    program = (
        "import sys, threading; from lsp.command import run_server; from lsp.stdio import claim_streams;"
        "from lsp.actions.catalog import read_actions; from lsp.backend import ConfiguredBackend;"
        "code = run_server(claim_streams(), read_actions(), ConfiguredBackend());"
        "names = {name.split('.')[0] for name in sys.modules};"
        "heavy = names & {'torch', 'transformers', 'tokenizers', 'textual', 'httpx2', 'peft'};"
        "print(f'heavy: {heavy or None}', file=sys.stderr)"
    )
    server = start(["-c", program])
    server.client.initialize()
    server.client.open(URI, "def area(w, h):\n    pass\n")
    assert server.client.actions(URI, (0, 0), (0, 0)) != []
    end(server)
    assert "heavy: None" in server.read_log()


def test_a_broken_configuration_does_not_end_the_server_and_is_named_when_it_matters(
    start: Start, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text("[generator]\nurl = 'ftp://x'\n")
    server = start()
    server.client.initialize()
    server.client.open(URI, "def area(w, h):\n    pass\n")
    entry = server.client.actions(URI, (0, 0), (0, 0))[0]
    server.client.request("workspace/executeCommand", entry["command"])
    shown = server.client.wait_method("window/showMessage")["params"]["message"]
    assert "generator.url must start with http" in shown
    assert "config.toml:2" in shown
    assert server.client.actions(URI, (0, 0), (0, 0)) != []


def test_a_server_that_cannot_be_reached_is_one_message(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    server = start(ASSISTANT_GENERATOR_URL=f"http://127.0.0.1:{port}/v1")
    server.client.initialize()
    server.client.open(URI, "def area(w, h):\n    pass\n")
    entry = server.client.actions(URI, (0, 0), (0, 0))[0]
    server.client.request("workspace/executeCommand", entry["command"])
    shown = server.client.wait_method("window/showMessage")["params"]["message"]
    assert "cannot reach" in shown
    assert len(server.client.methods("window/showMessage")) == 1


def test_a_person_at_a_terminal_is_told_what_to_do(tmp_path: Path) -> None:
    # lsp-ai#13, llm.nvim#94: a user runs the program, and nothing happens.
    environment = os.environ | {"ASSISTANT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    terminal = pexpect.spawn(sys.executable, PROGRAM, env=cast("os._Environ[str]", environment))
    terminal.expect("an editor starts this")
    terminal.expect("assistant lsp --check")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 2


def test_one_editor_is_served_on_loopback(tmp_path: Path) -> None:
    environment = dict(os.environ) | {"ASSISTANT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, *PROGRAM, "--tcp", "127.0.0.1:0"],
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )
    assert process.stderr is not None
    port = int(process.stderr.readline().split(";")[0].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        client = RawClient(connection.makefile("wb"), connection.makefile("rb"))
        client.initialize()
        client.open(URI, "def area(w, h):\n    pass\n")
        assert client.actions(URI, (0, 0), (0, 0)) != []
        client.request("shutdown")
        client.notify("exit")
        assert process.wait(DEADLINE_S) == 0
        client.dispose()
    process.stderr.close()


def test_a_web_page_that_reaches_the_loopback_port_gets_nothing(tmp_path: Path) -> None:
    environment = dict(os.environ) | {"ASSISTANT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, *PROGRAM, "--tcp", "localhost:0"], stderr=subprocess.PIPE, env=environment, text=True
    )
    assert process.stderr is not None
    port = int(process.stderr.readline().split(";")[0].rpartition(":")[2])
    body = encode_message({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}})
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + body)
        assert connection.recv(100) == b""
    assert process.wait(DEADLINE_S) == 1
    process.stderr.close()


@pytest.mark.parametrize("place", ["0.0.0.0:9257", "192.168.1.2:80", "9257", "example:80", "127.0.0.1:99999"])
def test_no_other_machine_can_be_served(place: str, tmp_path: Path) -> None:
    environment = dict(os.environ) | {"ASSISTANT_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *PROGRAM, "--tcp", place], capture_output=True, env=environment, text=True
    )
    assert done.returncode == 2
    assert f"--tcp {place}" in done.stderr
