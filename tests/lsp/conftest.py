"""Servers in this process, ended after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from lsp.actions.registry import ActionSet
from lsp.backend import Backend
from tests.lsp.connected import Connected
from tests.lsp.fakes import FakeBackend, GatedGenerator, build_actions

Connect = Callable[..., Connected]


@pytest.fixture
def connect(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path_factory.mktemp("home")))
    made: list[Connected] = []

    def start(backend: Backend | None = None, actions: ActionSet | None = None) -> Connected:
        made.append(Connected(actions or build_actions(), backend or FakeBackend(GatedGenerator([]))))
        return made[-1]

    yield start
    for connected in made:
        connected.close()


@pytest.fixture
def generator() -> GatedGenerator:
    return GatedGenerator(["x = ", "1"])


@pytest.fixture
def editor(connect: Connect, generator: GatedGenerator) -> Connected:
    """An editor that has one document open: `a = 1`, `b = 2`, `c = 3` on three lines."""
    connected = connect(FakeBackend(generator))
    connected.client.initialize()
    connected.open("a = 1\nb = 2\nc = 3\n")
    return connected
