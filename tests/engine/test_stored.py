"""The packed weights beside the models: made once, never of other weights, never needed."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tiny_llama import save_llama
from torch import Tensor

from assistant import paths
from assistant.config import Config, EngineSettings
from assistant.engine import llama_weights, loading, stored, tensor_files
from assistant.engine.device import choose_placement
from assistant.engine.kernels.compiling import find_kernels, find_obstacle
from assistant.engine.llama import LlamaNetwork
from assistant.engine.loading import load_parts
from assistant.engine.stored import StoredMatrices, find_place
from assistant.models.manifest import Manifest
from assistant.models.store import ModelStore

pytestmark = pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle() or "can be compiled here")

IDS = [1, 5, 77, 3, 150, 9, 9, 42]
FITTING: dict[str, Any] = {"num_attention_heads": 2, "num_key_value_heads": 1}
"""Heads of 32 numbers, which the kernels have."""
MATRICES = (4 * 2 + 1) * 2
"""Tensors kept of two layers and of the head: codes and scales of each matrix."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("tiny"), **FITTING)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModelStore:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    return ModelStore(paths.models_dir())


@pytest.fixture
def model(store: ModelStore, source: Path) -> Path:
    return publish(store, source)


def publish(store: ModelStore, source: Path, *, replace: bool = False) -> Path:
    manifest = Manifest(name="tiny", source="a test", prompt_format="python-task")
    with store.open_staging() as staging:
        for path in source.iterdir():
            os.link(path, staging.model / path.name)
        return store.publish(staging.model, manifest, replace=replace)


def load(directory: Path, quantization: str = "int4") -> LlamaNetwork:
    settings = EngineSettings(device="cpu", quantization=quantization, slots=1)
    config: Any = transformers.AutoConfig.from_pretrained(directory)
    return llama_weights.load_llama(
        directory, config, choose_placement(settings, usable_cores=1), 64, lambda _: None, find_kernels(),
        find_place(directory),
    )  # fmt: skip


def logits(directory: Path, quantization: str = "int4") -> Tensor:
    return load(directory, quantization).prefill(0, 0, IDS)


def packed_file(quantization: str = "int4") -> Path:
    return paths.models_dir() / ".packed" / "tiny" / f"{quantization}.safetensors"


def refuse_to_pack(*_: object) -> tuple[Tensor, ...]:
    raise AssertionError("a matrix is packed again")


@pytest.mark.parametrize("quantization", ["int4", "int8"])
def test_a_second_load_packs_nothing_and_computes_the_same(
    model: Path, monkeypatch: pytest.MonkeyPatch, quantization: str
) -> None:
    first = logits(model, quantization)
    monkeypatch.setattr(llama_weights, "pack", refuse_to_pack)
    assert torch.equal(logits(model, quantization), first)


def test_a_second_load_reads_norms_and_embedding_alone(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(model)
    read = tensor_files.TensorFiles.read
    names: list[str] = []
    monkeypatch.setattr(
        tensor_files.TensorFiles,
        "read",
        lambda files, name, form: names.append(name) or read(files, name, form),
    )
    load(model)
    assert [name for name in names if "norm" not in name] == ["model.embed_tokens.weight"]


def test_the_model_stays_what_was_published_and_only_its_user_reads_what_is_kept(
    store: ModelStore, model: Path
) -> None:
    load(model)
    assert store.resolve("tiny") == model
    assert store.verify("tiny").name == "tiny"
    assert store.names() == ["tiny"]
    assert [path.name for path in packed_file().parent.iterdir()] == ["int4.safetensors"]
    modes = [path.stat().st_mode & 0o777 for path in (packed_file(), packed_file().parent)]
    assert modes == [0o600, 0o700]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def write_other_bytes(path: Path) -> None:
    path.write_bytes(b"no tensors")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def write_other_key(path: Path) -> None:
    save_file(load_file(path), path, metadata={"key": "0 int4"})


def write_without_metadata(path: Path) -> None:
    save_file(load_file(path), path)


def change(path: Path, name: str, tensor: Tensor | None) -> None:
    with stored.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors if tensor is None else {**tensors, name: tensor}, path, metadata=metadata)


def leave_one_out(path: Path) -> None:
    change(path, "model.layers.1.down.0", None)


def give_one_another_shape(path: Path) -> None:
    change(path, "model.layers.0.qkv.0", torch.zeros(1, 2, 320, dtype=torch.uint8))


def give_one_another_type(path: Path) -> None:
    change(path, "head.1", torch.zeros(272, dtype=torch.float64))


@pytest.mark.parametrize(
    "damage",
    [
        cut_short, write_other_bytes, empty, write_other_key, write_without_metadata, leave_one_out,
        give_one_another_shape, give_one_another_type,
    ],
)  # fmt: skip
def test_a_file_that_is_damaged_is_made_again_with_one_warning(
    model: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    good = logits(model)
    content = packed_file().read_bytes()
    damage(packed_file())
    assert packed_file().read_bytes() != content
    assert torch.equal(logits(model), good)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "made again" in caplog.text
    assert packed_file().read_bytes() == content


def test_a_directory_in_the_files_place_costs_time_and_nothing_else(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packed_file().mkdir(parents=True)
    for path in (packed_file().parent, packed_file().parent.parent):
        path.chmod(0o700)
    assert logits(model).isfinite().all()
    assert "are not kept" in caplog.text


def test_a_version_that_packs_otherwise_does_not_take_what_an_earlier_one_has_kept(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(model)
    before = packed_file().read_bytes()
    monkeypatch.setattr(stored, "FORMAT", stored.FORMAT + 1)
    load(model)
    assert packed_file().read_bytes() != before


def test_weights_that_replace_others_are_packed_anew(store: ModelStore, model: Path, tmp_path: Path) -> None:
    first = logits(model)
    other = save_llama(tmp_path / "other", seed=4, **FITTING)
    publish(store, other, replace=True)
    assert not packed_file().exists()
    second = logits(model)
    assert not torch.equal(second, first)
    assert torch.equal(second, logits(other))


def test_what_is_kept_of_one_model_is_not_taken_for_another_even_in_its_place(
    store: ModelStore, model: Path, tmp_path: Path
) -> None:
    load(model)
    old = packed_file().read_bytes()
    other = save_llama(tmp_path / "other", seed=4, **FITTING)
    publish(store, other, replace=True)
    packed_file().parent.mkdir(mode=0o700)
    packed_file().write_bytes(old)
    assert torch.equal(logits(model), logits(other))


def test_a_removed_model_leaves_nothing_behind(store: ModelStore, model: Path) -> None:
    load(model)
    store.remove("tiny")
    assert list(packed_file().parent.parent.iterdir()) == []
    assert not [path for path in store.root.rglob("*") if path.suffix == ".safetensors"]


def test_a_model_that_is_not_in_the_store_is_not_kept(store: ModelStore, model: Path, source: Path) -> None:
    assert find_place(source) is None
    assert find_place(store.root / "gone") is None
    load(source)
    assert not packed_file().parent.exists()
    assert not list(source.parent.glob(".packed"))


def test_torchs_own_forms_are_not_kept(
    model: Path, monkeypatch: pytest.MonkeyPatch, store: ModelStore
) -> None:
    monkeypatch.setattr(loading, "find_kernels", lambda: None)
    config = Config(engine=EngineSettings(device="cpu", slots=1, context_tokens=64))
    load_parts(model, "tiny", "python-task", config, lambda _: None, compiles=False)
    assert not packed_file().parent.exists()


def test_a_model_loaded_by_its_name_is_kept(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "usable_cores", lambda: 1)
    config = Config(engine=EngineSettings(device="cpu", slots=1, context_tokens=64))
    load_parts(model, "tiny", "python-task", config, lambda _: None)
    assert len(load_file(packed_file())) == MATRICES


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("IoError: no space left")]
)
def test_a_full_disk_costs_time_at_the_next_start_and_nothing_else(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def fill_the_disk(tensors: object, path: Path, **_: object) -> None:
        path.write_bytes(b"the half")
        raise error

    monkeypatch.setattr(stored, "save_file", fill_the_disk)
    assert logits(model).isfinite().all()
    assert "are not kept" in caplog.text
    assert list(packed_file().parent.iterdir()) == []


def test_a_place_that_others_may_enter_is_not_written_to(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packed_file().parent.parent.mkdir(mode=0o755)
    load(model)
    assert "can be entered by others" in caplog.text
    assert list(packed_file().parent.parent.iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_and_what_another_writes_now_is_not(model: Path) -> None:
    packed_file().parent.mkdir(parents=True)
    for path in (packed_file().parent, packed_file().parent.parent):
        path.chmod(0o700)
    abandoned, growing = (packed_file().with_name(f"int4.safetensors.{n}.tmp") for n in (1, 2))
    for path in (abandoned, growing):
        path.write_bytes(b"the half")
    long_ago = time.time() - 2 * stored.ABANDONED_S
    os.utime(abandoned, (long_ago, long_ago))
    load(model)
    assert not abandoned.exists()
    assert growing.exists()


def test_mapped_weights_are_known_to_be_yet_to_come(model: Path) -> None:
    place = find_place(model)
    forms = [((1, 1, 320), torch.uint8)]
    first = StoredMatrices(place, "int4")
    first.take("a", forms, lambda: [torch.zeros(1, 1, 320, dtype=torch.uint8)])
    first.write()
    assert first.mapped_bytes == 0
    second = StoredMatrices(place, "int4")
    second.take("a", forms, refuse_to_pack)
    assert second.mapped_bytes == 320
