from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest
from small_models import build_model, publish

from assistant.errors import ModelError, UnknownModelError, UnsafeModelError, UsageError
from assistant.models import leftovers
from assistant.models.locks import hold_lock
from assistant.models.manifest import read_manifest
from assistant.models.store import ModelStore

AddModel = Callable[..., Path]


def test_a_store_that_does_not_exist_is_empty_and_stays_so(store: ModelStore) -> None:
    assert store.names() == []
    assert store.list_models() == []
    assert store.active() is None
    assert store.find("a") is None
    assert not store.root.exists()


def test_a_published_model_is_listed_resolved_and_described(store: ModelStore, add_model: AddModel) -> None:
    place = add_model("b")
    add_model("a")
    assert store.names() == ["a", "b"]
    assert [manifest.name for manifest in store.list_models()] == ["a", "b"]
    assert store.resolve("b") == place == store.root / "b"
    manifest = store.read_manifest("b")
    assert set(manifest.files) == {path.name for path in place.iterdir()} - {"manifest.json"}
    assert manifest.created


def test_only_the_user_can_enter_the_store(store: ModelStore, add_model: AddModel) -> None:
    place = add_model("a")
    store.use("a")
    assert stat.S_IMODE(store.root.lstat().st_mode) == 0o700
    for path in [place / "model.safetensors", place / "manifest.json", store.root / "active.json"]:
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600


def test_a_store_that_others_can_enter_is_not_used(store: ModelStore, add_model: AddModel) -> None:
    add_model("a")
    store.root.chmod(0o755)
    for act in (store.resolve, store.verify, store.use):
        with pytest.raises(UsageError, match="entered by others"):
            act("a")


def test_publishing_leaves_nothing_else_behind(store: ModelStore, add_model: AddModel) -> None:
    add_model("a")
    add_model("a", seed=1, replace=True)
    assert {entry.name for entry in store.root.iterdir()} == {"a", ".lock", ".verified.json"}


def test_a_name_is_given_only_once(store: ModelStore, add_model: AddModel) -> None:
    place = add_model("a")
    before = read_manifest(place)
    with pytest.raises(ModelError, match="there is a model a"):
        add_model("a", seed=1)
    assert read_manifest(place) == before


def test_a_model_can_take_the_place_of_another(store: ModelStore, add_model: AddModel) -> None:
    before = read_manifest(add_model("a"))
    store.use("a")
    after = read_manifest(add_model("a", seed=1, replace=True))
    assert before.files["model.safetensors"] != after.files["model.safetensors"]
    assert store.resolve("a").is_dir()
    assert store.active() == "a"


def test_a_model_whose_replacement_was_interrupted_comes_back(store: ModelStore, add_model: AddModel) -> None:
    add_model("a").rename(store.root / ".replaced-0123abcd-a")
    assert store.names() == ["a"]
    assert store.resolve("a").is_dir()
    assert not list(store.root.glob(".replaced-*"))


def test_a_replacement_that_was_interrupted_after_it_was_done_stays(
    store: ModelStore, add_model: AddModel, tmp_path: Path
) -> None:
    add_model("a")
    build_model(store.root / ".replaced-0123abcd-a")
    before = read_manifest(store.root / "a")
    add_model("b")
    assert read_manifest(store.root / "a") == before
    assert not list(store.root.glob(".replaced-*"))


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "a/b", "..", "a" * 65, "a b", "ä", "a\n"])
def test_nothing_is_published_under_a_name_that_is_none(store: ModelStore, model: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a model's name"):
        publish(store, name, model)
    assert store.names() == []


def test_an_unknown_model_is_answered_with_the_nearest(store: ModelStore, add_model: AddModel) -> None:
    add_model("smollm2-135m")
    add_model("other")
    with pytest.raises(UnknownModelError) as caught:
        store.resolve("smolm2")
    assert "smollm2-135m" in caught.value.hint


def test_an_unknown_model_in_an_empty_store_is_answered_with_a_way_out(store: ModelStore) -> None:
    with pytest.raises(UnknownModelError) as caught:
        store.resolve("a")
    assert "models pull" in caught.value.hint


def test_the_pointer_remembers_where_it_came_from(store: ModelStore, add_model: AddModel) -> None:
    for name in "abc":
        add_model(name)
        store.use(name)
    store.use("c")
    assert json.loads((store.root / "active.json").read_text()) == {
        "schema": 1,
        "active": "c",
        "previous": ["b", "a"],
    }


def test_a_model_is_remembered_once_and_eight_at_most(store: ModelStore, add_model: AddModel) -> None:
    names = [f"m{number}" for number in range(11)]
    for name in names:
        add_model(name)
    for name in [*names, "m3", "m10"]:
        store.use(name)
    pointer = json.loads((store.root / "active.json").read_text())
    assert pointer["active"] == "m10"
    assert pointer["previous"] == ["m3", "m9", "m8", "m7", "m6", "m5", "m4", "m2"]


def test_rolling_back_goes_back_step_by_step(store: ModelStore, add_model: AddModel) -> None:
    for name in "abc":
        add_model(name)
        store.use(name)
    assert store.rollback() == "b" == store.active()
    assert store.rollback() == "a" == store.active()
    with pytest.raises(ModelError, match="no model before"):
        store.rollback()
    assert store.active() == "a"


def test_rolling_back_passes_over_what_is_gone_or_damaged(store: ModelStore, add_model: AddModel) -> None:
    for name in "abcd":
        add_model(name)
        store.use(name)
    store.remove("c")
    (store.root / "b" / "config.json").write_text("{}")
    assert store.rollback() == "a"


def test_an_unsafe_model_never_becomes_the_active_one(store: ModelStore, add_model: AddModel) -> None:
    add_model("good")
    store.use("good")
    (add_model("bad") / "config.json").write_text("{}")
    with pytest.raises(UnsafeModelError):
        store.use("bad")
    assert store.active() == "good"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\x00" * 40,
        b'{"schema": 2, "active": "a", "previous": []}',
        b'{"schema": 1, "active": "../../etc", "previous": []}',
        b'{"schema": 1, "active": null, "previous": []}',
        b'{"schema": 1, "active": "a", "previous": ["/etc"]}',
        b'{"schema": 1, "active": "a"}',
        b"[" * 5000,
    ],
)
def test_a_damaged_pointer_is_told_of_and_repaired_by_choosing_a_model(
    store: ModelStore, add_model: AddModel, content: bytes
) -> None:
    add_model("a")
    (store.root / "active.json").write_bytes(content)
    for act in (store.active, store.rollback):
        with pytest.raises(ModelError) as caught:
            act()
        assert "models use NAME" in caught.value.hint
    store.use("a")
    assert store.active() == "a"


def test_the_active_model_cannot_be_removed(store: ModelStore, add_model: AddModel) -> None:
    add_model("a")
    store.use("a")
    with pytest.raises(ModelError, match="active"):
        store.remove("a")
    assert store.resolve("a").is_dir()


def test_removing_deletes_the_files(store: ModelStore, add_model: AddModel) -> None:
    place = add_model("a")
    store.remove("a")
    assert not place.exists()
    assert not list(store.root.glob(".trash-*"))
    with pytest.raises(UnknownModelError):
        store.remove("a")


def test_a_model_renamed_by_hand_is_refused(store: ModelStore, add_model: AddModel) -> None:
    add_model("a").rename(store.root / "b")
    with pytest.raises(ModelError, match="calls itself a"):
        store.resolve("b")
    assert store.names() == ["b"]


def test_one_damaged_manifest_hides_no_other_model(store: ModelStore, add_model: AddModel) -> None:
    add_model("good")
    (add_model("bad") / "manifest.json").write_text("{")
    assert store.names() == ["bad", "good"]
    assert [manifest.name for manifest in store.list_models()] == ["good"]


def test_links_in_the_store_are_no_models(store: ModelStore, add_model: AddModel, tmp_path: Path) -> None:
    add_model("a")
    build_model(tmp_path / "outside")
    (store.root / "linked").symlink_to(tmp_path / "outside")
    assert store.names() == ["a"]
    with pytest.raises(UnknownModelError):
        store.resolve("linked")


def test_a_staging_directory_is_gone_whatever_happens(store: ModelStore) -> None:
    def build() -> None:
        with store.open_staging() as staging:
            (staging.model / "x").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build()
    assert not list(store.root.glob(".tmp-*"))


def age(path: Path, days: float) -> None:
    moment = time.time() - days * 86_400
    os.utime(path, (moment, moment))


def test_a_staging_directory_nobody_holds_is_deleted_after_a_day(store: ModelStore) -> None:
    for name, days in {".tmp-old": 2, ".tmp-young": 0.5, ".partial-old": 8, ".partial-young": 2}.items():
        (store.root / name / "files").mkdir(parents=True)
        age(store.root / name, days)
    store.root.chmod(0o700)
    with store.open_staging():
        pass
    assert {entry.name for entry in store.root.iterdir()} == {".tmp-young", ".partial-young"}


def test_a_staging_directory_in_use_is_kept_however_old(store: ModelStore) -> None:
    with store.open_staging() as staging:
        age(staging.model.parent, 30)
        assert leftovers.clean_leftovers(store.root) == []
        assert staging.model.is_dir()


def test_a_lock_that_is_never_given_back_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with filelock.FileLock(path), pytest.raises(ModelError) as caught, hold_lock(path, "it", wait_s=0.1):
        pass
    assert str(path) in caught.value.hint


def test_a_store_that_is_no_directory_is_told_of(store: ModelStore) -> None:
    store.root.touch()
    with pytest.raises(ModelError, match="cannot read the model store"):
        store.names()
