from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_models import build_model, change_json
from stub_hub import StubHub, StubRepository

from assistant.errors import DownloadError, ModelError, UnsafeModelError, UsageError
from finetune.pushing import choose_files, prepare_push, push_model

TOKEN = "hf_a_token_that_must_not_be_seen"
USER = {"name": "me", "type": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubHub]:
    hub = StubHub()
    hub.users[TOKEN] = USER
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield hub
    hub.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = build_model(tmp_path / "model")
    (directory / "README.md").write_text("---\nlibrary_name: transformers\n---\n# It\n")
    (directory / "LICENSE").write_text("MIT\n")
    (directory / "manifest.json").write_text("{}")
    (directory / "notes.txt").write_text("mine alone")
    return directory


def test_a_new_repository_is_private_and_gets_the_known_files_alone(hub: StubHub, model: Path) -> None:
    pushed = push_model(model, "me/it")
    repository = hub.repositories["me/it"]
    assert repository.is_private
    known = {"README.md", "LICENSE", "config.json", "model.safetensors", "tokenizer.json"}
    assert set(repository.files) == known | {"tokenizer_config.json"}
    assert repository.files["model.safetensors"] == (model / "model.safetensors").read_bytes()
    assert pushed.url == f"{hub.url}/me/it"
    assert set(pushed.files) == set(repository.files)


def test_no_pushed_file_holds_the_token(hub: StubHub, model: Path) -> None:
    push_model(model, "hub:me/it")
    assert not any(TOKEN.encode() in content for content in hub.repositories["me/it"].files.values())


def test_a_push_can_be_repeated(hub: StubHub, model: Path) -> None:
    push_model(model, "me/it")
    change_json(model / "config.json", extra=1)
    push_model(model, "me/it")
    assert b"extra" in hub.repositories["me/it"].files["config.json"]


def test_public_is_said_and_never_taken_for_granted(hub: StubHub, model: Path) -> None:
    hub.repositories["me/open"] = StubRepository(files={})
    with pytest.raises(UsageError, match="me/open is public"):
        push_model(model, "me/open")
    assert hub.repositories["me/open"].files == {}
    push_model(model, "me/open", public=True)
    assert hub.repositories["me/open"].files


def test_what_is_asked_before_training_sends_nothing(hub: StubHub) -> None:
    assert prepare_push("me/it") == "me"
    assert hub.repositories["me/it"].files == {}


def test_without_a_token_nothing_is_asked(hub: StubHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UsageError, match="HF_TOKEN is not set"):
        prepare_push("me/it")
    assert hub.requests == []


def test_a_token_that_may_only_read_is_refused_at_once(hub: StubHub) -> None:
    hub.users[TOKEN] = {**USER, "auth": {"accessToken": {"role": "read"}}}
    with pytest.raises(UsageError, match="may only read"):
        prepare_push("me/it")
    assert "me/it" not in hub.repositories


def test_another_owners_repository_is_refused_and_the_own_ones_named(hub: StubHub) -> None:
    hub.users[TOKEN] = {**USER, "orgs": [{"name": "us"}]}
    with pytest.raises(UsageError, match="cannot write to them/it") as caught:
        prepare_push("them/it")
    assert caught.value.hint == "owner may be me, us"


def test_a_token_that_the_hub_does_not_know_is_ours_and_not_shown(hub: StubHub) -> None:
    hub.users.clear()
    with pytest.raises(DownloadError, match="does not let this token write") as caught:
        prepare_push("me/it")
    assert TOKEN not in caught.value.message + caught.value.hint


def test_a_hub_that_is_not_reached_leaves_the_model_safe(
    hub: StubHub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="not reached") as caught:
        push_model(model, "me/it")
    assert "tries again" in caught.value.hint


@pytest.mark.parametrize("name", ["it", "me/it/too", "me/", "../it", "me/i t"])
def test_what_is_no_repository_is_refused(hub: StubHub, name: str) -> None:
    with pytest.raises(UsageError, match="no repository"):
        prepare_push(name)
    assert hub.requests == []


def test_a_pickle_is_never_pushed(hub: StubHub, model: Path) -> None:
    (model / "training_args.bin").write_bytes(b"\x80\x04")
    with pytest.raises(UnsafeModelError, match="training_args"):
        push_model(model, "me/it")
    assert hub.requests == []


def test_an_adapter_alone_is_no_model(hub: StubHub, model: Path) -> None:
    (model / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json"):
        push_model(model, "me/it")


def test_shards_and_their_index_are_pushed(model: Path, tmp_path: Path) -> None:
    from small_models import split_model

    split = split_model(Path(shutil.copytree(model, tmp_path / "split")))
    chosen = choose_files(split)
    assert "model-00001-of-00003.safetensors" in chosen
    assert "model.safetensors.index.json" in chosen
    assert "manifest.json" not in chosen
