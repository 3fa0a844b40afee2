from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import flip_bit

from assistant.errors import ModelError, UnsafeModelError
from assistant.models import hashing
from assistant.models.store import ModelStore

AddModel = Callable[..., Path]
FLIPS = 1000


def test_every_flipped_bit_is_found(store: ModelStore, add_model: AddModel) -> None:
    place = add_model("a")
    chosen = random.Random(7)
    files = sorted(place.iterdir())
    for _ in range(FLIPS):
        path = chosen.choice(files)
        position = chosen.randrange(path.stat().st_size * 8)
        flip_bit(path, position)
        with pytest.raises(ModelError):
            store.verify("a")
        flip_bit(path, position)
    store.verify("a")


def test_a_flipped_bit_is_found_before_the_model_is_loaded(store: ModelStore, add_model: AddModel) -> None:
    place = add_model("a")
    store.resolve("a")
    flip_bit(place / "model.safetensors", 8 * 500)
    with pytest.raises(UnsafeModelError, match="has changed since it was published"):
        store.resolve("a")


def test_a_second_half_of_zeros_is_found(store: ModelStore, add_model: AddModel) -> None:
    path = add_model("a") / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2].ljust(len(content), b"\0"))
    with pytest.raises(UnsafeModelError, match=r"model\.safetensors"):
        store.resolve("a")


@pytest.mark.parametrize("change", ["missing", "longer", "shorter"])
def test_a_file_of_another_size_is_found_without_reading_it(
    store: ModelStore, add_model: AddModel, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = add_model("a") / "model.safetensors"
    if change == "missing":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size + (1 if change == "longer" else -1))
    monkeypatch.setattr(hashing, "hash_file", pytest.fail)
    with pytest.raises(UnsafeModelError, match=r"model\.safetensors"):
        store.resolve("a")


@pytest.mark.parametrize("name", ["more.json", "code.py", ".hidden", "deep/er/file.txt"])
def test_a_file_that_was_not_published_is_refused(store: ModelStore, add_model: AddModel, name: str) -> None:
    path = add_model("a") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")
    with pytest.raises(UnsafeModelError, match="not in the model's manifest"):
        store.resolve("a")


def test_what_a_desktop_leaves_in_a_directory_does_no_harm(store: ModelStore, add_model: AddModel) -> None:
    (add_model("a") / ".DS_Store").write_bytes(b"\0" * 10)
    assert store.resolve("a").is_dir()
    store.verify("a")


def test_a_file_that_became_a_link_is_refused(store: ModelStore, add_model: AddModel, tmp_path: Path) -> None:
    path = add_model("a") / "model.safetensors"
    path.rename(tmp_path / "same-bytes")
    path.symlink_to(tmp_path / "same-bytes")
    with pytest.raises(UnsafeModelError, match="link"):
        store.resolve("a")


def test_a_whole_model_is_not_read_again(
    store: ModelStore, add_model: AddModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_model("a")
    monkeypatch.setattr(hashing, "hash_file", pytest.fail)
    assert store.resolve("a").is_dir()
    assert ModelStore(store.root).resolve("a").is_dir()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a": 3}', None])
def test_a_lost_cache_costs_time_and_nothing_else(
    store: ModelStore, add_model: AddModel, content: bytes | None
) -> None:
    add_model("a")
    cache = store.root / ".verified.json"
    if content is None:
        cache.unlink()
    else:
        cache.write_bytes(content)
    assert store.resolve("a").is_dir()
    assert b'"a"' in cache.read_bytes()


def test_verifying_reads_every_byte_even_of_a_model_known_to_be_whole(
    store: ModelStore, add_model: AddModel
) -> None:
    path = add_model("a") / "model.safetensors"
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(UnsafeModelError):
        store.verify("a")


def test_the_hint_says_where_to_get_the_model_again(store: ModelStore, add_model: AddModel) -> None:
    (add_model("a") / "model.safetensors").unlink()
    with pytest.raises(UnsafeModelError) as caught:
        store.verify("a")
    assert "models remove a" in caught.value.hint
    assert "a test" in caught.value.hint
