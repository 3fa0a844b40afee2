from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant import launch, paths
from assistant.config import Config, GeneratorSettings
from tests.client.stub_server import READY, StubServer


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that is short enough for a socket in it."""
    directory = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))
    monkeypatch.setenv("ASSISTANT_HOME", str(directory))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "ASSISTANT_GENERATOR_TOKEN"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def ours(home: Path) -> Iterator[StubServer]:
    """A stub where our own generator would be, ready and with a token."""
    paths.runtime_dir().mkdir(mode=0o700)
    paths.token_path().write_text("secret-1\n", encoding="ascii")
    server = StubServer(paths.socket_path())
    server.on("GET /health", READY)
    yield server
    server.close()


@pytest.fixture
def foreign(home: Path) -> Iterator[StubServer]:
    """A stub of somebody else's server on loopback TCP, serving one model."""
    server = StubServer()
    yield server
    server.close()


@pytest.fixture
def foreign_config(foreign: StubServer) -> Config:
    return Config(generator=GeneratorSettings(url=f"{foreign.url}/v1", model="their-model"))


class Daemon:
    """Starts of a stand-in for our generator's process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.use()

    def use(self, *arguments: str) -> None:
        """From now on `launch` starts the stand-in with these arguments."""
        script = str(Path(__file__).with_name("stub_daemon.py"))
        self._monkeypatch.setattr(launch, "SERVER_ARGUMENTS", ("-P", script, *arguments))

    def starts(self) -> list[int]:
        """The process of each start so far, those that found another one running included."""
        file = paths.runtime_dir() / "starts"
        return [int(line) for line in file.read_text(encoding="ascii").split()] if file.exists() else []


@pytest.fixture
def daemon(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """The stand-in, not yet started. Whatever was started is killed at the end."""
    daemon = Daemon(monkeypatch)
    yield daemon
    for pid in daemon.starts():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
