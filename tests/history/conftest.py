from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.history.store import History, open_history


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    return tmp_path / "data" / "history" / "history.db"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with open_history(path) as opened:
        yield opened
