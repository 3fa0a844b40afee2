from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_evaluation import write_model, write_suite


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An `ASSISTANT_HOME` with a model that only fakes can run."""
    for variable in [
        name for name in os.environ if name.startswith("ASSISTANT_") and name != "ASSISTANT_CACHE"
    ]:
        monkeypatch.delenv(variable)
    path = Path(tempfile.mkdtemp(prefix="as", dir="/tmp"))
    monkeypatch.setenv("ASSISTANT_HOME", str(path))
    write_model(path)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Twelve problems."""
    return write_suite(tmp_path / "suite.jsonl", 12)
