from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from assistant import config, paths
from assistant.config import Config
from assistant.errors import ConfigError
from assistant.settings import find_project_file, read_config, read_settings, variable_name


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in list(os.environ):
        if variable.startswith("ASSISTANT_"):
            monkeypatch.delenv(variable)
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("ASSISTANT_HOME", str(path))
    return path


@pytest.fixture
def file(home: Path) -> Path:
    return home / "config.toml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    path.mkdir()
    return path


def refused(text: str) -> pytest.RaisesExc[ConfigError]:
    return pytest.raises(ConfigError, match=re.escape(text))


def test_without_any_source_every_value_is_the_default() -> None:
    settings = read_settings()
    assert settings.config == Config()
    assert set(settings.origins.values()) == {"default"}
    assert list(settings.origins) == config.setting_names()


def test_a_value_in_the_file_is_taken_with_its_file_and_line(file: Path) -> None:
    file.write_text("# mine\n[sampling]\n\ntemperature = 0.5\n", encoding="utf-8")
    settings = read_settings()
    assert settings.config.sampling.temperature == 0.5
    assert settings.origins["sampling.temperature"] == f"{file}:4"
    assert settings.origins["sampling.top_p"] == "default"


def test_the_line_is_that_of_the_key_in_its_own_section(file: Path) -> None:
    file.write_text('[generator]\nmodel = "a"\n[engine]\ndevice = "tpu"\n[server]\n', encoding="utf-8")
    with refused(f"{file}:4: engine.device must be one of auto, cpu, cuda, got 'tpu'"):
        read_config()


def test_a_whole_number_is_good_for_a_fraction(file: Path) -> None:
    file.write_text("[sampling]\ntemperature = 1\n", encoding="utf-8")
    value = read_config().sampling.temperature
    assert (value, type(value)) == (1.0, float)


def test_an_unknown_key_names_its_place_and_the_nearest(file: Path) -> None:
    file.write_text("[sampling]\ntemprature = 1.0\n", encoding="utf-8")
    with refused(f"{file}:2: there is no setting sampling.temprature") as caught:
        read_config()
    assert caught.value.hint == "did you mean sampling.temperature?"
    assert caught.value.exit_code == 2


def test_an_unknown_key_that_resembles_none_points_to_the_list(file: Path) -> None:
    file.write_text("[zzz]\nqqqqqqqq = 1\n", encoding="utf-8")
    with refused("there is no setting zzz.qqqqqqqq") as caught:
        read_config()
    assert caught.value.hint == "see `assistant config show`"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("max_tokens = 1.5", "sampling.max_tokens must be a whole number, got 1.5"),
        ("max_tokens = true", "sampling.max_tokens must be a whole number, got True"),
        ('max_tokens = "9"', "sampling.max_tokens must be a whole number, got '9'"),
        ('temperature = "hot"', "sampling.temperature must be a number, got 'hot'"),
        ("temperature = [1]", "sampling.temperature must be a number, got [1]"),
        ("temperature = nan", "sampling.temperature must be from 0 to 2, got nan"),
        ("temperature = 2.01", "sampling.temperature must be from 0 to 2, got 2.01"),
        ("temperature = -0.1", "sampling.temperature must be from 0 to 2, got -0.1"),
        ("top_p = 0.0", "sampling.top_p must be from 0.01 to 1, got 0.0"),
        ("repetition_penalty = 0.3", "sampling.repetition_penalty must be 0, or from 0.5 to 2, got 0.3"),
        ("max_tokens = 0", "sampling.max_tokens must be from 1 to 131072, got 0"),
    ],
)
def test_a_wrong_value_names_its_place_key_and_range(line: str, complaint: str, file: Path) -> None:
    file.write_text(f"[sampling]\n{line}\n", encoding="utf-8")
    with refused(f"{file}:2: {complaint}"):
        read_config()


@pytest.mark.parametrize(
    ("name", "edge"),
    [
        ("sampling.temperature", 0.0),
        ("sampling.temperature", 2.0),
        ("sampling.top_p", 0.01),
        ("sampling.top_p", 1.0),
        ("sampling.repetition_penalty", 0.0),
        ("sampling.repetition_penalty", 0.5),
        ("sampling.max_tokens", 1),
        ("sampling.max_tokens", 131_072),
        ("server.idle_exit_s", 0.0),
        ("generator.url", ""),
        ("generator.url", "https://example.org/v1"),
    ],
)
def test_the_edges_of_a_range_are_in_it(name: str, edge: float | str) -> None:
    changed = config.with_value(Config(), name, edge, "here")
    assert config.get_setting(changed, name) == edge


def test_a_text_for_a_number_is_refused_and_a_number_for_a_text(file: Path) -> None:
    file.write_text("[generator]\nurl = 8000\n", encoding="utf-8")
    with refused("generator.url must be text, got 8000"):
        read_config()


def test_a_url_needs_a_scheme(file: Path) -> None:
    file.write_text('[generator]\nurl = "localhost:8000"\n', encoding="utf-8")
    with refused("generator.url must start with http:// or https://, got 'localhost:8000'"):
        read_config()


def test_a_key_outside_a_section_is_refused_with_its_line(file: Path) -> None:
    file.write_text('[models]\ndefault = "x"\n', encoding="utf-8")
    read_config()
    file.write_text("\ntemperature = 1.0\n", encoding="utf-8")
    with refused(f"{file}:2: temperature = … stands outside a section"):
        read_config()


def test_what_is_not_toml_names_the_file_and_the_place_in_it(file: Path) -> None:
    file.write_text("[sampling]\ntemperature = = 1\n", encoding="utf-8")
    with refused(f"{file} is not TOML") as caught:
        read_config()
    assert "line 2" in caught.value.message


def test_a_file_that_is_not_utf_8_is_named(file: Path) -> None:
    file.write_bytes(b'[generator]\nmodel = "caf\xe9"\n')
    with refused(f"cannot read {file}"):
        read_config()


def test_a_directory_in_the_place_of_the_file_is_named(file: Path) -> None:
    file.mkdir()
    with refused(f"cannot read {file}"):
        read_config()


def test_a_project_wins_over_the_user(file: Path, project: Path) -> None:
    file.write_text("[sampling]\ntemperature = 0.5\nmax_tokens = 10\n", encoding="utf-8")
    (project / ".assistant.toml").write_text("[sampling]\ntemperature = 0.7\n", encoding="utf-8")
    settings = read_settings(project_from=project)
    assert settings.config.sampling.temperature == 0.7
    assert settings.config.sampling.max_tokens == 10
    assert settings.origins["sampling.temperature"] == f"{project / '.assistant.toml'}:2"


def test_a_project_is_found_from_below(project: Path) -> None:
    (project / ".assistant.toml").write_text("[sampling]\nmax_tokens = 7\n", encoding="utf-8")
    below = project / "src" / "package"
    below.mkdir(parents=True)
    assert read_config(project_from=below).sampling.max_tokens == 7


def test_the_nearest_project_file_is_the_only_one(project: Path) -> None:
    (project / ".assistant.toml").write_text("[sampling]\nmax_tokens = 7\n", encoding="utf-8")
    inner = project / "inner"
    inner.mkdir()
    (inner / ".assistant.toml").write_text("[sampling]\ntemperature = 1.0\n", encoding="utf-8")
    assert read_config(project_from=inner).sampling.max_tokens == Config().sampling.max_tokens


def test_no_project_is_read_unless_asked_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".assistant.toml").write_text("[sampling]\nmax_tokens = 7\n", encoding="utf-8")
    monkeypatch.chdir(project)
    assert read_config() == Config()


def test_the_home_directory_is_no_project(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".assistant.toml").write_text("[sampling]\nmax_tokens = 7\n", encoding="utf-8")
    below = project / "below"
    below.mkdir()
    monkeypatch.setenv("HOME", str(project))
    assert find_project_file(below) is None


@pytest.mark.parametrize(
    "text",
    [
        '[generator]\nurl = "http://evil.example/v1"\n',
        '[models]\ndefault = "hub:evil/model"\n',
        "[engine]\nthreads = 1\n",
        "[server]\nmax_waiting = 0\n",
    ],
)
def test_a_project_may_set_harmless_keys_alone(text: str, project: Path) -> None:
    place = project / ".assistant.toml"
    place.write_text(text, encoding="utf-8")
    with refused(f"{place}:2: a project may not set ") as caught:
        read_config(project_from=project)
    assert caught.value.hint == f"put it into {paths.config_file()}"


def test_a_typing_error_in_a_project_is_still_a_typing_error(project: Path) -> None:
    (project / ".assistant.toml").write_text("[sampling]\ntop_pp = 1.0\n", encoding="utf-8")
    with refused("there is no setting sampling.top_pp"):
        read_config(project_from=project)


def test_a_variable_wins_over_the_files(file: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[sampling]\nmax_tokens = 1\n", encoding="utf-8")
    (project / ".assistant.toml").write_text("[sampling]\nmax_tokens = 2\n", encoding="utf-8")
    monkeypatch.setenv("ASSISTANT_SAMPLING_MAX_TOKENS", "3")
    settings = read_settings(project_from=project)
    assert settings.config.sampling.max_tokens == 3
    assert settings.origins["sampling.max_tokens"] == "ASSISTANT_SAMPLING_MAX_TOKENS"


def test_every_setting_has_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in config.setting_names():
        default = config.get_setting(Config(), name)
        monkeypatch.setenv(variable_name(name), str(default))
    settings = read_settings()
    assert settings.config == Config()
    assert all(origin.startswith("ASSISTANT_") for origin in settings.origins.values())


def test_a_variable_with_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_SAMPLING_MAX_TOKENS", "many")
    with refused("ASSISTANT_SAMPLING_MAX_TOKENS: sampling.max_tokens must be a whole number, got 'many'"):
        read_config()


def test_a_variable_out_of_range_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_SAMPLING_TEMPERATURE", "9")
    with refused("ASSISTANT_SAMPLING_TEMPERATURE: sampling.temperature must be from 0 to 2, got 9.0"):
        read_config()


def test_an_unknown_variable_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_SAMPLING_TEMPRATURE", "1")
    with refused("ASSISTANT_SAMPLING_TEMPRATURE is no setting") as caught:
        read_config()
    assert caught.value.hint == "did you mean ASSISTANT_SAMPLING_TEMPERATURE?"


def test_the_secret_of_a_foreign_server_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_GENERATOR_TOKEN", "sesame")
    settings = read_settings()
    assert settings.config == Config()
    assert "sesame" not in repr(settings)


def test_a_setting_is_got_by_its_name_and_an_unknown_one_is_refused() -> None:
    assert config.get_setting(Config(), "server.max_waiting") == 16
    with refused("there is no setting server.max_wating") as caught:
        config.get_setting(Config(), "server.max_wating")
    assert caught.value.hint == "did you mean server.max_waiting?"


def test_changing_one_value_changes_no_other() -> None:
    changed = config.with_value(Config(), "engine.threads", 4, "here")
    different = [
        name
        for name in config.setting_names()
        if config.get_setting(changed, name) != config.get_setting(Config(), name)
    ]
    assert different == ["engine.threads"]
