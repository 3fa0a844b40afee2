from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_llama import old_names, read_weights, save_adapter, save_llama

from assistant.errors import ModelError, StorageError, UnsafeModelError
from finetune.merging import merge as merging
from finetune.merging.merge import Onto, merge_adapter
from finetune.merging.nf4 import Nf4, find_quantised, roundtrip
from finetune.merging.tensor_files import build_header, find_shards, read_places, read_tensor
from finetune.progress import Step

NF4 = Nf4(double=True)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("base"), dtype=torch.float32)


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_adapter(base, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def broken(adapter: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(adapter, tmp_path / "broken"))


def merge_by_peft(base: Path, adapter: Path, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    import peft

    model: Any = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    with old_names():
        adapted: Any = peft.PeftModel.from_pretrained(model, str(adapter))
    return adapted.merge_and_unload().state_dict()


def change_config(adapter: Path, **values: Any) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"use_dora": True},
        {"use_dora": True, "use_rslora": True},
        {
            "target_modules": ["q_proj", "v_proj"],
            "alpha_pattern": {"q_proj": 2},
            "rank_pattern": {"v_proj": 2},
        },
    ],
    ids=["lora", "rslora", "dora", "rsdora", "patterns"],
)
def test_a_merge_gives_the_weights_that_peft_gives(
    base: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", **options)
    (tmp_path / "out").mkdir()
    merge_adapter(base, adapter, tmp_path / "out")
    expected = merge_by_peft(base, adapter)
    got = read_weights(tmp_path / "out")
    assert len(got) == len(read_weights(base))
    for name, tensor in got.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)


def test_only_what_the_adapter_trained_changes(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["q_proj"])
    (tmp_path / "out").mkdir()
    done = merge_adapter(base, adapter, tmp_path / "out")
    before, after = read_weights(base), read_weights(tmp_path / "out")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"model.layers.{number}.self_attn.q_proj.weight" for number in (0, 1)}
    assert done.matrices == 2
    assert 0 < done.change < 1


def test_shards_types_and_index_are_the_bases(adapter: Path, tmp_path: Path) -> None:
    base = save_llama(tmp_path / "base", shard_size="100KB")
    (tmp_path / "out").mkdir()
    merge_adapter(base, adapter, tmp_path / "out")
    shards = find_shards(base)
    assert len(shards) == 2
    assert find_shards(tmp_path / "out") == shards
    for shard in shards:
        before = [(place.name, place.dtype, place.shape) for place in read_places(base / shard)]
        assert [(p.name, p.dtype, p.shape) for p in read_places(tmp_path / "out" / shard)] == before
    assert {tensor.dtype for tensor in read_weights(tmp_path / "out").values()} == {torch.bfloat16}
    shutil.copy(base / "config.json", tmp_path / "out")
    transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")


def test_onto_nf4_every_matrix_is_what_nf4_leaves_of_it(base: Path, tmp_path: Path) -> None:
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=["q_proj"])
    (tmp_path / "out").mkdir()
    merge_adapter(base, adapter, tmp_path / "out", onto=Onto.NF4, nf4=NF4)
    before, after = read_weights(base), read_weights(tmp_path / "out")
    name = "model.layers.0.mlp.up_proj.weight"
    torch.testing.assert_close(after[name], roundtrip(before[name], NF4))
    assert not torch.equal(after[name], before[name])
    assert torch.equal(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"])
    delta = after["model.layers.0.self_attn.q_proj.weight"] - roundtrip(
        before["model.layers.0.self_attn.q_proj.weight"], NF4
    )
    assert delta.norm() > 0


def test_the_head_and_the_embedding_are_never_quantised(tmp_path: Path) -> None:
    base = save_llama(tmp_path / "base", tie_word_embeddings=False)
    names = find_quantised(base)
    assert len(names) == 14
    assert not any("head" in name or "embed" in name or "norm" in name for name in names)


def test_an_update_smaller_than_a_step_of_bfloat16_is_kept_on_the_whole(tmp_path: Path) -> None:
    base = save_llama(tmp_path / "base")
    adapter = save_adapter(base, tmp_path / "adapter", std=0.003, target_modules=["up_proj"])
    (tmp_path / "out").mkdir()
    merge_adapter(base, adapter, tmp_path / "out")
    name = "model.layers.0.mlp.up_proj.weight"
    before = read_weights(base)[name].float()
    wanted = merge_by_peft(base, adapter)[name] - before
    got = read_weights(tmp_path / "out")[name].float() - before
    assert wanted.abs().max() < 2**-9 * before.abs().max()
    assert float((got * wanted).sum() / (wanted * wanted).sum()) == pytest.approx(1, abs=0.35)
    lost = (before + wanted).bfloat16().float() - before
    assert float((lost * wanted).sum() / (wanted * wanted).sum()) < 0.6


def test_rounding_by_chance_is_the_same_each_time_and_right_in_the_mean() -> None:
    weight = torch.full((64, 4096), 1.0 + 2**-9)
    rounded = merging.round_at_random(weight, "a")
    assert torch.equal(rounded, merging.round_at_random(weight, "a"))
    assert set(rounded.unique().tolist()) == {1.0, 1.0 + 2**-7}
    assert float(rounded.float().mean()) == pytest.approx(1 + 2**-9, abs=1e-4)
    assert torch.equal(merging.round_at_random(-weight, "a"), -rounded)
    exact = torch.tensor([0.0, -1.5, 3.0])
    assert torch.equal(merging.round_at_random(exact, "b").float(), exact)


def test_progress_is_told_in_bytes(base: Path, adapter: Path, tmp_path: Path) -> None:
    steps: list[Step] = []
    done = merge_adapter(base, adapter, tmp_path, report=steps.append)
    assert steps[-1].done == steps[-1].total == done.weight_bytes
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_an_adapter_with_nan_is_refused_and_named(base: Path, broken: Path, tmp_path: Path) -> None:
    tensors = load_file(broken / "adapter_model.safetensors")
    name = sorted(tensors)[3]
    tensors[name][0, 0] = float("nan")
    save_file(tensors, broken / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="not finite") as caught:
        merge_adapter(base, broken, tmp_path)
    assert name in caught.value.message
    assert not list(tmp_path.glob("model*"))


def test_a_merge_that_overflows_its_type_is_refused(tmp_path: Path) -> None:
    base = save_llama(tmp_path / "base", dtype=torch.float16)
    adapter = save_adapter(base, tmp_path / "adapter", std=400.0)
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelError, match="not finite after the merge, in F16"):
        merge_adapter(base, adapter, tmp_path / "out")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
        ({"bias": "all"}, "bias is 'all'"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save is set"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa'"),
        ({"use_dora": True}, "do not say the same of DoRA"),
    ],
)
def test_what_cannot_be_merged_is_named(
    base: Path, broken: Path, tmp_path: Path, values: dict[str, Any], words: str
) -> None:
    change_config(broken, **values)
    with pytest.raises(ModelError, match=words):
        merge_adapter(base, broken, tmp_path)


def test_an_adapter_of_another_model_is_refused(adapter: Path, tmp_path: Path) -> None:
    other = save_llama(tmp_path / "other", hidden_size=32)
    with pytest.raises(ModelError, match="the adapter changes") as caught:
        merge_adapter(other, adapter, tmp_path)
    assert "--base" in caught.value.hint


def test_a_base_without_one_of_its_shards_is_refused_by_its_name(adapter: Path, tmp_path: Path) -> None:
    base = save_llama(tmp_path / "base", shard_size="100KB")
    missing = find_shards(base)[1]
    (base / missing).unlink()
    with pytest.raises(ModelError, match=missing):
        merge_adapter(base, adapter, tmp_path)


def test_a_base_that_was_cut_off_is_refused(base: Path, adapter: Path, tmp_path: Path) -> None:
    cut = Path(shutil.copytree(base, tmp_path / "cut"))
    content = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(content[:-100])
    with pytest.raises(UnsafeModelError, match=r"cut/model\.safetensors"):
        merge_adapter(cut, adapter, tmp_path)


def test_a_base_of_pickles_or_of_quantised_weights_is_refused(
    base: Path, adapter: Path, tmp_path: Path
) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    shutil.copy(base / "config.json", pickled)
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="no safetensors"):
        merge_adapter(pickled, adapter, tmp_path)
    packed = Path(shutil.copytree(base, tmp_path / "packed"))
    config = json.loads((packed / "config.json").read_text())
    (packed / "config.json").write_text(
        json.dumps(config | {"quantization_config": {"quant_method": "gptq"}})
    )
    with pytest.raises(ModelError, match="quantised"):
        merge_adapter(packed, adapter, tmp_path)


def test_too_little_room_is_seen_before_anything_is_written(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "ROOM", 10**18)
    with pytest.raises(StorageError, match="the merged model needs"):
        merge_adapter(base, adapter, tmp_path)
    assert not list(tmp_path.glob("model*"))


def test_a_disk_that_fills_up_on_the_way_is_ours(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(merging, "tensor_bytes", fail)
    with pytest.raises(StorageError, match="no space left"):
        merge_adapter(base, adapter, tmp_path)


def test_a_written_header_reads_back_as_it_was(tmp_path: Path) -> None:
    tensors = {
        "a": torch.arange(6, dtype=torch.float32).reshape(2, 3),
        "b": torch.ones(3, dtype=torch.bfloat16),
    }
    header = build_header({"a": ("F32", (2, 3)), "b": ("BF16", (3,))})
    content = b"".join(bytes(merging.tensor_bytes(tensor)) for tensor in tensors.values())
    (tmp_path / "x.safetensors").write_bytes(header + content)
    assert (len(header)) % 8 == 0
    for place in read_places(tmp_path / "x.safetensors"):
        assert torch.equal(read_tensor(place), tensors[place.name])
        assert torch.equal(load_file(tmp_path / "x.safetensors")[place.name], tensors[place.name])
