"""The real thing: the program, the embedded model, real processes and sockets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Home


@pytest.fixture(scope="session")
def model_home(pulled_home: Home) -> Iterator[Home]:
    """A home whose store holds the embedded model."""
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    shutil.copytree(pulled_home.path / "data", home.path / "data")
    yield home
    home.kill_servers()
    shutil.rmtree(home.path)


@pytest.fixture
def home(model_home: Home) -> Iterator[Home]:
    """The same home, without a generator at the start and at the end."""
    model_home.kill_servers()
    yield model_home
    model_home.kill_servers()
