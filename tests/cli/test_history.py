from __future__ import annotations

import json
from pathlib import Path

import pytest

from assistant.cli import main
from assistant.history.records import Exchange, Outcome
from assistant.history.store import open_history


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def filled(home: Path) -> None:
    with open_history() as history:
        for number, task in enumerate(["sort a list", "read a CSV"]):
            history.save_exchange(
                Exchange(
                    id=f"e{number}",
                    conversation=f"{number}abc",
                    started=1_000_000_000.0 + number,
                    task=task,
                    answer=f"Sure:\n\n```python\nx = {number}\n```\n",
                    outcome=Outcome.STOP,
                    model="smol",
                )
            )


def test_an_empty_history_lists_nothing_and_makes_no_file(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "list"]) == 0
    assert capsys.readouterr().out == ""
    assert not (home / "home").exists()


@pytest.mark.usefixtures("filled")
def test_conversations_are_listed_with_the_newest_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition("  ")[2] for line in lines] == ["read a CSV", "sort a list"]


@pytest.mark.usefixtures("filled")
def test_the_list_is_one_json_object_a_line_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["history", "list", "--json", "-n", "1"])
    assert json.loads(capsys.readouterr().out)["title"] == "read a CSV"


@pytest.mark.usefixtures("filled")
def test_search_shows_where_the_words_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "search", "sor", "list"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("0abc")
    assert "sort a list" in out


@pytest.mark.usefixtures("filled")
def test_show_prints_the_newest_conversation_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "show"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# read a CSV\n")
    assert "```python\nx = 1\n```" in out


@pytest.mark.usefixtures("filled")
def test_export_writes_the_code_alone_into_a_python_file(home: Path) -> None:
    assert main(["history", "export", "0a", "-o", "answers.py"]) == 0
    text = (home / "answers.py").read_text()
    assert text == "# sort a list\n\nx = 0\n"
    compile(text, "answers.py", "exec")


@pytest.mark.usefixtures("filled")
def test_export_leaves_a_file_that_exists_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "answers.py").write_text("mine")
    assert main(["history", "export", "-o", "answers.py"]) == 2
    assert (home / "answers.py").read_text() == "mine"
    assert "--force" in capsys.readouterr().err


@pytest.mark.usefixtures("filled")
def test_delete_takes_one_conversation_and_leaves_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "delete", "0abc", "--yes"]) == 0
    main(["history", "list"])
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.usefixtures("filled")
def test_delete_without_anybody_to_ask_deletes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "delete", "--all"]) == 2
    main(["history", "list"])
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.usefixtures("filled")
def test_delete_all_deletes_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "delete", "--all", "--yes"]) == 0
    main(["history", "list"])
    assert capsys.readouterr().out == ""


def test_delete_wants_to_know_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "delete"]) == 2
    assert "--all" in capsys.readouterr().err


@pytest.mark.usefixtures("filled")
def test_an_unknown_id_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "show", "zzz"]) == 2
    assert "zzz" in capsys.readouterr().err


def test_path_prints_where_it_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "path"]) == 0
    assert capsys.readouterr().out == f"{home}/home/data/history/history.db\n"


def test_off_and_on_are_a_setting(home: Path) -> None:
    assert main(["history", "off"]) == 0
    assert 'keep = "off"' in (home / "home" / "config.toml").read_text()
    assert main(["history", "on"]) == 0
    assert 'keep = "on"' in (home / "home" / "config.toml").read_text()


def test_a_damaged_history_is_reported_with_its_exit_code(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = home / "home" / "data" / "history" / "history.db"
    path.parent.mkdir(parents=True, mode=0o700)
    path.write_bytes(b"nonsense" * 500)
    assert main(["history", "list"]) == 74
    assert "damaged" in capsys.readouterr().err
