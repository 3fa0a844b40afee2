"""The server as editors start it: a process of its own, beside a generator that writes without end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Home, wait_until

from tests.lsp.connected import URI, pick
from tests.lsp.raw_client import ServerProcess

STUB = "def area(w, h):\n    pass\n"
PROGRAM = ["-m", "assistant", "lsp"]


@pytest.fixture
def home() -> Iterator[Home]:
    """A home whose generator writes one line every 50 ms, for minutes."""
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    script = home.path / "script.json"
    script.write_text(json.dumps({"pieces": ["x = 1\n"] * 3000, "step_s": 0.05}))
    program = [sys.executable, "-m", "assistant.server", "--scripted", str(script)]
    nothing = subprocess.DEVNULL
    generator = subprocess.Popen(program, env=home.environment(), stdout=nothing, stderr=nothing)
    wait_until(home.socket.exists)
    yield home
    generator.kill()
    generator.wait()
    shutil.rmtree(home.path)


@pytest.fixture
def server(home: Home, tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(PROGRAM, tmp_path / "log", home.environment())
    yield server
    server.kill()


def start_generating(server: ServerProcess, process_id: int | None = None) -> None:
    """Ask for a function's body and wait until some of it is there."""
    client = server.client
    client.initialize(processId=process_id)
    client.open(URI, STUB)
    command = pick(client.actions(URI, (0, 0), (0, 0)), "Implement `area`")["command"]
    client.request("workspace/executeCommand", command)
    client.wait_message(
        lambda m: m.get("method") == "$/progress" and "tokens/s" in str(m["params"]["value"].get("message"))
    )


def running(home: Home) -> int:
    status = home.run("status", "--json")
    assert status.returncode == 0, status.stderr
    return json.loads(status.stdout)["active_sequences"]


def test_the_end_of_its_input_does_not_wait_for_the_answer(home: Home, server: ServerProcess) -> None:
    start_generating(server)
    server.client.close()
    server.wait()
    wait_until(lambda: running(home) == 0)


def test_shutdown_and_exit_do_not_wait_for_the_answer(home: Home, server: ServerProcess) -> None:
    start_generating(server)
    server.client.request("shutdown")
    server.client.notify("exit")
    assert server.wait() == 0
    wait_until(lambda: running(home) == 0)


def test_the_editors_death_ends_it_while_its_input_is_held_open(home: Home, server: ServerProcess) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as editor:
        start_generating(server, editor.pid)
        editor.kill()
    server.wait()
    wait_until(lambda: running(home) == 0)


def test_it_is_ready_with_nothing_but_messages_on_its_output(server: ServerProcess) -> None:
    server.client.initialize()
    server.client.request("shutdown")
    server.client.notify("exit")
    assert server.wait() == 0
    assert server.client.garbage == b""
