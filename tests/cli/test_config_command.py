from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from program import Program

from assistant import config
from assistant.cli import main
from assistant.commands.setting_help import read_section_help, read_setting_help
from assistant.config import Config
from assistant.settings import read_config


@pytest.fixture
def file(home: Path) -> Path:
    return home / "config.toml"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_every_setting_has_a_help_of_its_own() -> None:
    texts = read_setting_help()
    assert list(texts) == config.setting_names()
    assert len(set(texts.values())) == len(texts)
    assert all(text.strip() for text in texts.values())


def test_every_section_has_a_help() -> None:
    texts = read_section_help()
    assert {name.split(".")[0] for name in config.setting_names()} == set(texts)
    assert all(text.endswith(".") for text in texts.values())


def test_what_is_shown_could_be_the_configuration(capfd: pytest.CaptureFixture[str], file: Path) -> None:
    assert main(["config", "show"]) == 0
    shown = capfd.readouterr().out
    for name in config.setting_names():
        section, key = name.split(".")
        assert tomllib.loads(shown)[section][key] == config.get_setting(Config(), name)
    file.write_text(shown, encoding="utf-8")
    assert read_config() == Config()


def test_each_value_stands_under_its_help(capfd: pytest.CaptureFixture[str]) -> None:
    main(["config", "show"])
    lines = capfd.readouterr().out.splitlines()
    text = read_setting_help()["sampling.temperature"]
    assert lines[lines.index("temperature = 0.0") - 1] == f"# {text}"


def test_origins_are_told_when_asked_for(capfd: pytest.CaptureFixture[str], file: Path) -> None:
    file.write_text("[sampling]\ntemperature = 0.5\n", encoding="utf-8")
    main(["config", "show", "--origin"])
    shown = capfd.readouterr().out
    assert f"temperature = 0.5  # {file}:2" in shown
    assert "top_p = 1.0  # default" in shown
    tomllib.loads(shown)


def test_json_has_value_origin_and_help_of_each(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_ENGINE_THREADS", "3")
    main(["config", "show", "--json"])
    content = json.loads(capfd.readouterr().out)
    assert content["schema"] == 1
    assert list(content["settings"]) == config.setting_names()
    assert content["settings"]["engine.threads"] == {
        "value": 3,
        "origin": "ASSISTANT_ENGINE_THREADS",
        "help": read_setting_help()["engine.threads"],
    }


def test_a_projects_file_counts_where_one_stands(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / ".assistant.toml").write_text("[sampling]\nmax_tokens = 9\n", encoding="utf-8")
    main(["config", "get", "sampling.max_tokens"])
    assert capfd.readouterr().out == "9\n"


def test_neither_a_token_nor_a_password_is_shown(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_TOKEN", "sesame")
    monkeypatch.setenv("ASSISTANT_GENERATOR_URL", "https://me:sesame@example.org/v1")
    for arguments in (["show", "--origin"], ["show", "--json"], ["get", "generator.url"], ["check"]):
        assert main(["config", *arguments]) == 0
        shown = capfd.readouterr().out
        assert "sesame" not in shown
        assert "example.org/v1" in shown or arguments == ["check"]


def test_getting_an_unknown_key_names_the_nearest(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "get", "sampling.temperatur"]) == 2
    assert capfd.readouterr().err == (
        "error: there is no setting sampling.temperatur\nhint: did you mean sampling.temperature?\n"
    )


def test_a_first_set_makes_the_file(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "set", "sampling.temperature", "0.5"]) == 0
    assert tomllib.loads(file.read_text(encoding="utf-8")) == {"sampling": {"temperature": 0.5}}
    assert capfd.readouterr() == ("", "")


def test_set_keeps_comments_order_and_other_keys(file: Path) -> None:
    file.write_text('# mine\n[models]\ndefault = "a"  # why\n\n[sampling]\ntop_p = 0.9\n', encoding="utf-8")
    assert main(["config", "set", "models.default", "b"]) == 0
    assert file.read_text(encoding="utf-8") == (
        '# mine\n[models]\ndefault = "b"  # why\n\n[sampling]\ntop_p = 0.9\n'
    )


@pytest.mark.parametrize(
    "text",
    ["sampling.top_p = 0.9\n", "sampling = {top_p = 0.9}\n", "[sampling]\n", '["sampling"]\ntop_p = 0.9\n'],
)
def test_set_and_unset_work_in_every_notation_of_a_section(text: str, file: Path) -> None:
    file.write_text(text, encoding="utf-8")
    assert main(["config", "set", "sampling.top_p", "0.5"]) == 0
    assert read_config().sampling.top_p == 0.5
    assert main(["config", "unset", "sampling.top_p"]) == 0
    assert read_config() == Config()


def test_a_text_that_looks_like_a_number_stays_text(file: Path) -> None:
    assert main(["config", "set", "generator.model", "7"]) == 0
    assert file.read_text(encoding="utf-8") == '[generator]\nmodel = "7"\n'


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("sampling.temperature", "9", "config set: sampling.temperature must be from 0 to 2, got 9.0"),
        ("sampling.max_tokens", "many", "config set: sampling.max_tokens must be a whole number, got 'many'"),
        ("sampling.temp", "1", "config set: there is no setting sampling.temp"),
    ],
)
def test_a_wrong_value_is_refused_and_nothing_written(
    key: str, value: str, complaint: str, file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "set", key, value]) == 2
    assert capfd.readouterr().err.startswith(f"error: {complaint}\n")
    assert not file.exists()


def test_a_negative_value_can_be_given(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "set", "sampling.temperature", "--", "-1"]) == 2
    assert "got -1.0" in capfd.readouterr().err


def test_a_set_value_that_something_else_overrides_is_told(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_ENGINE_THREADS", "3")
    assert main(["config", "set", "engine.threads", "2"]) == 0
    assert capfd.readouterr().err == "warning: ASSISTANT_ENGINE_THREADS sets engine.threads too, and wins\n"


def test_a_file_that_is_not_toml_is_left_alone(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text("[sampling\n", encoding="utf-8")
    assert main(["config", "set", "engine.threads", "2"]) == 2
    assert f"{file} is not TOML" in capfd.readouterr().err
    assert file.read_text(encoding="utf-8") == "[sampling\n"


def test_a_wrong_key_in_the_file_can_be_mended_with_set(file: Path) -> None:
    file.write_text("[sampling]\ntemperature = 9\n", encoding="utf-8")
    assert main(["config", "set", "sampling.temperature", "1"]) == 0
    assert read_config().sampling.temperature == 1.0


def test_unsetting_what_is_not_set_is_no_error(file: Path) -> None:
    assert main(["config", "unset", "engine.threads"]) == 0
    assert not file.exists()


def test_unsetting_an_unknown_key_is_one(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "unset", "engine.thread"]) == 2
    assert "did you mean engine.threads?" in capfd.readouterr().err


def test_the_path_is_told_whether_or_not_the_file_is_there(
    file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "path"]) == 0
    assert capfd.readouterr().out == f"{file}\n"


def test_check_tells_what_is_changed_and_by_what(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text("[engine]\nthreads = 2\n", encoding="utf-8")
    assert main(["config", "check"]) == 0
    head, *changed = capfd.readouterr().out.splitlines()
    assert head == f"{len(config.setting_names())} settings can be used, 1 of them changed"
    assert changed == [f"engine.threads: {file}:2"]


def test_check_fails_with_the_place_of_the_mistake(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file.write_text("[engine]\nthreads = -2\n", encoding="utf-8")
    assert main(["config", "check"]) == 2
    assert f"{file}:2: engine.threads must be from 0 to 1024, got -2" in capfd.readouterr().err


def test_a_working_directory_that_is_gone_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["config", "show"]) == 0


def test_on_a_terminal_a_set_value_is_confirmed(program: Program, file: Path) -> None:
    screen = program.start_on_terminal("config", "set", "engine.threads", "2", NO_COLOR="1")
    assert screen.read() == f"engine.threads = 2 in {file}\r\n"
