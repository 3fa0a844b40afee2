from __future__ import annotations

from pathlib import Path

import pytest

from assistant.commands.confinement import check_sandbox
from assistant.commands.findings import Level
from assistant.sandbox.bubblewrap import Bubblewrap


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("bubblewrap")
def test_the_doctor_names_the_sandbox_that_holds() -> None:
    (finding,) = check_sandbox()
    assert (finding.level, finding.text) == (Level.OK, f"{Bubblewrap.name} holds against all probes")


def test_the_doctor_says_what_mends_a_missing_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("ASSISTANT_SANDBOX_BACKEND", "bubblewrap")
    (finding,) = check_sandbox()
    assert finding.level is Level.WARN
    assert "sudo apt install bubblewrap" in finding.to_do
