from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from assistant.config import Config
from assistant.engine.interface import LoadModel, LoadProgress
from assistant.engine.scripted import ScriptedModel
from assistant.errors import UnknownModelError
from assistant.server.listening import Premises, listen_tcp
from assistant.server.running import Deployment, Store, run_server

WAIT_S = 30.0


def wait_until(is_true: Callable[[], object], what: str = "") -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"never happened: {what or is_true}")
        time.sleep(0.005)


@dataclass(frozen=True)
class FakeManifest:
    name: str
    prompt_format: str = "chat"
    created: str = "2026-01-01T00:00:00+00:00"


class FakeCatalog:
    """A store in a directory: one directory for each model, and a pointer file."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, name: str) -> None:
        (self.root / name).mkdir(exist_ok=True)
        (self.root / name / "manifest.json").write_text(json.dumps({"name": name}))

    def use(self, name: str) -> None:
        temporary = self.root / ".active.tmp"
        temporary.write_text(json.dumps({"name": name}))
        temporary.replace(self.root / "active.json")

    def active(self) -> str | None:
        try:
            return json.loads((self.root / "active.json").read_text())["name"]
        except FileNotFoundError:
            return None

    def find(self, name: str) -> Path | None:
        return self.root / name if (self.root / name / "manifest.json").exists() else None

    def resolve(self, name: str) -> Path:
        directory = self.find(name)
        if directory is None:
            raise UnknownModelError(f"no model {name}")
        return directory

    def list_models(self) -> list[FakeManifest]:
        return [FakeManifest(path.parent.name) for path in sorted(self.root.glob("*/manifest.json"))]


@dataclass
class Loads:
    """Builds a scripted model for each load, and remembers it."""

    build: Callable[[str], ScriptedModel] = lambda name: ScriptedModel(name)
    gate: threading.Event | None = None
    """Where there is one, loads wait for it."""
    models: list[ScriptedModel] = field(default_factory=list[ScriptedModel])

    def build_loader(self) -> LoadModel:
        def load(directory: Path, report: Callable[[LoadProgress], None]) -> ScriptedModel:
            report(LoadProgress(stage="reading weights", fraction=0.25))
            if self.gate is not None:
                assert self.gate.wait(WAIT_S)
            model = self.build(directory.name)
            self.models.append(model)
            return model

        return load

    @property
    def last(self) -> ScriptedModel:
        return self.models[-1]


class Live:
    """A server in a thread of this process, on a Unix socket."""

    def __init__(self, home: Path, config: Config, *, has_tcp: bool = False) -> None:
        self.socket_file = home / "s"
        self.catalog = FakeCatalog(home / "models")
        self.catalog.root.mkdir()
        self.loads = Loads()
        self.config = config
        self.ended_with: list[int] = []
        self.tcp_port = 0
        self._has_tcp = has_tcp
        self._premises = Premises(self.socket_file, home / "t")
        self._thread: threading.Thread | None = None
        self.token = self._premises.token

    def start(self, *, active: str | None = "old", is_ready: bool = True) -> Live:
        if active is not None:
            self.catalog.add(active)
            self.catalog.use(active)
        listeners = [self._premises.open()]
        if self._has_tcp:
            listeners.append(listen_tcp("127.0.0.1", 0))
            self.tcp_port = listeners[1].getsockname()[1]
        deployment = Deployment(
            config=self.config,
            store=Store(
                catalog=self.catalog, build_loader=self.loads.build_loader, directory=self.catalog.root
            ),
            token=self.token,
            listeners=listeners,
            end_at_once=self.ended_with.append,
            is_in_place=self._premises.is_in_place,
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(run_server(deployment)))
        self._thread.start()
        if is_ready:
            wait_until(lambda: self.health()["status"] == "ready", "the model is ready")
        return self

    def stop(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            if self.loads.gate is not None:
                self.loads.gate.set()
            with contextlib.suppress(httpx2.TransportError):  # it is ending by itself
                self.call("POST", "/v1/shutdown")
            self._thread.join(WAIT_S)
            assert not self._thread.is_alive()

    def wait_ended(self) -> None:
        assert self._thread is not None
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()

    def client(self, *, token: str | None = None) -> httpx2.Client:
        return httpx2.Client(
            transport=httpx2.HTTPTransport(uds=str(self.socket_file)),
            base_url="http://localhost",
            headers={"authorization": f"Bearer {token or self.token}"},
            timeout=WAIT_S,
        )

    def call(self, method: str, path: str, content: Any = None) -> httpx2.Response:
        with self.client() as client:
            return client.request(method, path, json=content)

    def health(self) -> dict[str, Any]:
        return self.call("GET", "/health").json()

    def status(self) -> dict[str, Any]:
        return self.call("GET", "/v1/status").json()

    def chat(self, text: str = "hello", **fields: Any) -> httpx2.Response:
        content = {"messages": [{"role": "user", "content": text}], **fields}
        return self.call("POST", "/v1/chat/completions", content)

    def answer(self, text: str = "hello", **fields: Any) -> str:
        response = self.chat(text, **fields)
        assert response.status_code == 200, response.text
        return response.json()["choices"][0]["message"]["content"]

    def stream(self, text: str = "hello", **fields: Any) -> list[Any]:
        """All events of a stream, `[DONE]` as text."""
        with self.open_stream(text, **fields) as stream:
            return list(stream)

    def open_stream(self, text: str = "hello", **fields: Any) -> Stream:
        return Stream(self, {"messages": [{"role": "user", "content": text}], "stream": True, **fields})

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(WAIT_S)
        connection.connect(str(self.socket_file))
        return connection

    def head(self, method: str, path: str, *headers: str) -> bytes:
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {self.token}",
            *headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode()


class Stream:
    """A stream that is being read: an iterator over its events."""

    def __init__(self, live: Live, content: dict[str, Any]) -> None:
        self._client = live.client()
        self._context = self._client.stream("POST", "/v1/chat/completions", json=content)
        self.response = self._context.__enter__()
        self._lines = self.response.iter_lines()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        for line in self._lines:
            if line == "data: [DONE]":
                return "[DONE]"
            if line.startswith("data: "):
                return json.loads(line.removeprefix("data: "))
        raise StopIteration

    def next_text(self) -> str:
        while True:
            event = next(self)
            text = event["choices"][0]["delta"].get("content")
            if text:
                return text

    def close(self) -> None:
        self._context.__exit__(None, None, None)
        self._client.close()
