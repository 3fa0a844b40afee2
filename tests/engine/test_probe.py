from __future__ import annotations

from pathlib import Path

import pytest

from assistant.engine.kernels.compiling import find_obstacle
from assistant.engine.probe import _probe_kernels


@pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle() or "can be compiled here")
def test_kernels_are_looked_for_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = _probe_kernels()
    assert (here["compiled"], here["works"], here["obstacle"]) == (True, True, "")
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path))
    elsewhere = _probe_kernels()
    assert (elsewhere["compiled"], elsewhere["works"], elsewhere["obstacle"]) == (False, False, "")
    assert elsewhere["path"].startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
