from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.config import Config, ServerSettings
from tests.server.harness import Live


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory whose path is short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def make_live(home: Path) -> Iterator[Callable[..., Live]]:
    made: list[Live] = []

    def make(*, has_tcp: bool = False, **settings: Any) -> Live:
        config = Config(server=ServerSettings(**settings))
        made.append(Live(home, config, has_tcp=has_tcp))
        return made[-1]

    yield make
    for live in made:
        live.stop()


@pytest.fixture
def live(make_live: Callable[..., Live]) -> Live:
    return make_live().start()
