from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant import paths
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
