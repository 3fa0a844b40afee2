from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import Program


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An `ASSISTANT_HOME` with a path short enough for a socket, for this process and those it starts."""
    for variable in list(os.environ):
        is_ours = variable.startswith("ASSISTANT_") and variable != "ASSISTANT_CACHE"
        if is_ours or variable in ("NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(variable)
    path = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))
    monkeypatch.setenv("ASSISTANT_HOME", str(path))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def program(home: Path, tmp_path: Path) -> Program:
    """The command line, in processes of its own."""
    return Program(home=home, directory=tmp_path)
