from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from lsp.command import lsp


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "as"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_person_is_told_what_each_line_of_a_file_offers(home: Path) -> None:
    file = home / "shapes.py"
    file.write_text("# TODO: compute the area\n\n\ndef area(r):\n    ...\n", encoding="utf-8")
    done = CliRunner().invoke(lsp, ["--check", str(file)])
    assert done.exit_code == 0
    assert "not running" in done.output
    assert "5 lines" not in done.output.splitlines()[0]
    assert "shapes.py, 6 lines, parses" in done.output
    lines = done.output.splitlines()
    assert any(line.startswith("line 1 ") and "code for this task" in line for line in lines)
    assert any(line.startswith("4-5") and "Implement" in line and "area" in line for line in lines)


def test_a_file_that_is_not_there_is_named(home: Path) -> None:
    from assistant.errors import UsageError

    done = CliRunner().invoke(lsp, ["--check", str(home / "nowhere.py")])
    assert isinstance(done.exception, UsageError)
    assert "nowhere.py" in done.exception.message


def test_an_action_of_ones_own_that_cannot_be_used_is_named(home: Path) -> None:
    (home / "as").mkdir()
    (home / "as" / "actions.toml").write_text("[shout]\n", encoding="utf-8")
    done = CliRunner().invoke(lsp, ["--check"], standalone_mode=False)
    assert done.return_value == 2
    assert "actions.toml" in done.output


def test_a_configured_server_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "http://127.0.0.1:9/v1")
    assert "http://127.0.0.1:9/v1" in CliRunner().invoke(lsp, ["--check"]).output
