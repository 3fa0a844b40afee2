"""Models that are not what they say, and memory that runs out: one clear error each, and things go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jobs import Collected
from safetensors.torch import load_file, save_file
from tiny_llama import save_llama

from assistant.config import Config, EngineSettings
from assistant.engine import loading
from assistant.engine.batch import BatchedModel
from assistant.engine.loading import Parts, load_parts
from assistant.engine.text import ModelText
from assistant.errors import ModelError, OutOfMemoryError

NO_MEMORY = (
    "[enforce fail at alloc_cpu.cpp:128] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to"
    " allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)"
)
"""What torch's CPU allocator says."""
PROMPT = [100, 101, 102, 10, 32, 32, 120]

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    return save_llama(tmp_path_factory.mktemp("tiny"), shard_size="50GB", **heads)


@pytest.fixture
def directory(source: Path, tmp_path: Path) -> Path:
    return shutil.copytree(source, tmp_path / "model")


def load(directory: Path, **settings: Any) -> Parts:
    engine = EngineSettings(**{"device": "cpu", "slots": 4, "context_tokens": 64, **settings})
    return load_parts(directory, "tiny", "python-task", Config(engine=engine), lambda _: None)


def change_config(directory: Path, **values: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def change_tensors(directory: Path, added: Mapping[str, Any], removed: str = "") -> None:
    path = directory / "model.safetensors"
    tensors = {**load_file(path), **added}
    tensors.pop(removed, None)
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("lie", "message"),
    [
        ({"hidden_size": 128}, r"input_layernorm\.weight has shape \(64,\), config\.json says \(128,\)"),
        ({"hidden_size": -64}, r"config\.json: hidden_size must be above 0, got -64"),
        ({"hidden_size": "big"}, r"'hidden_size' expected int, got str \(value: 'big'\)"),
        ({"head_dim": 64}, r"q_proj\.weight has shape \(64, 64\), config\.json says \(128, 64\)"),
        ({"head_dim": 31}, r"even rotary dimension"),
        ({"num_attention_heads": 0}, "cannot be loaded: ZeroDivisionError"),
        ({"num_attention_heads": 5}, r"not a multiple of the number of attention heads \(5\)"),
        ({"num_key_value_heads": 0}, "num_key_value_heads must be above 0"),
        ({"num_key_value_heads": 2}, r"k_proj\.weight has shape \(32, 64\), config\.json says \(64, 64\)"),
        ({"num_key_value_heads": 3}, "num_key_value_heads = 3 does not divide num_attention_heads = 2"),
        ({"intermediate_size": None}, "'intermediate_size' expected int, got NoneType"),
        ({"num_hidden_layers": 0}, "num_hidden_layers must be above 0"),
        ({"num_hidden_layers": 1}, r"a tensor model\.layers\.1\..*config\.json has 1 layers"),
        ({"num_hidden_layers": 10**9}, r"hold no tensor model\.layers\.2\."),
        ({"vocab_size": 300}, r"embed_tokens\.weight has shape \(272, 64\), config\.json says \(300, 64\)"),
        ({"vocab_size": 260}, r"embed_tokens\.weight has shape \(272, 64\), config\.json says \(260, 64\)"),
        ({"rms_norm_eps": -1.0}, r"rms_norm_eps must not be below 0, got -1\.0"),
        ({"max_position_embeddings": -5}, "max_position_embeddings must not be below 0, got -5"),
        ({"rope_parameters": {"rope_type": "linear"}}, "Missing required keys in `rope_parameters`"),
        ({"model_type": "nothing"}, "model type `nothing`"),
        ({"dtype": "nothing"}, "has no attribute 'nothing'"),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_is_refused_with_what_is_wrong(
    directory: Path, lie: dict[str, Any], message: str
) -> None:
    change_config(directory, **lie)
    with pytest.raises(ModelError, match=message) as caught:
        load(directory)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_a_config_that_is_no_json_is_refused(directory: Path) -> None:
    (directory / "config.json").write_text("{")
    with pytest.raises(ModelError, match="tiny cannot be loaded"):
        load(directory)


def test_a_head_of_another_vocabulary_is_refused(directory: Path) -> None:
    change_tensors(directory, {"lm_head.weight": torch.zeros(256, 64)})
    change_config(directory, tie_word_embeddings=False)
    with pytest.raises(ModelError, match=r"lm_head\.weight has shape \(256, 64\).*\(272, 64\)"):
        load(directory)


@pytest.mark.parametrize(
    "name", ["model.embed_tokens.weight", "model.norm.weight", "model.layers.1.mlp.down_proj.weight"]
)
def test_a_tensor_that_is_missing_is_named(directory: Path, name: str) -> None:
    change_tensors(directory, {}, removed=name)
    with pytest.raises(ModelError, match=f"hold no tensor {name}"):
        load(directory)


def test_tensors_that_are_too_many_are_left_out_with_one_warning(
    source: Path, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change_tensors(directory, {"score.weight": torch.ones(2, 64), "value.weight": torch.ones(1, 64)})
    logits = load(directory).network.prefill(0, 0, PROMPT)
    assert torch.equal(logits, load(source).network.prefill(0, 0, PROMPT))
    assert [record.getMessage() for record in caplog.records] == [
        "2 tensors are not used, score.weight for one: this model may be another than it says"
    ]


def test_angles_that_old_files_bring_along_are_no_surprise(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change_tensors(directory, {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(16)})
    load(directory)
    assert caplog.records == []


@pytest.mark.parametrize("content", [b"", b"no tensors", None])
def test_weights_that_are_damaged_are_refused_with_their_file(directory: Path, content: bytes | None) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000] if content is None else content)
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        load(directory)


def test_an_index_that_names_a_file_that_is_gone_is_refused(directory: Path) -> None:
    index = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelError, match=r"model-00001-of-00002\.safetensors cannot be read"):
        load(directory)


def test_a_directory_without_weights_is_refused(directory: Path) -> None:
    (directory / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="hold no tensor"):
        load(directory)


def test_a_token_that_the_model_does_not_have_is_named_and_others_are_read(directory: Path) -> None:
    config: Any = SimpleNamespace(eos_token_id=None, get_text_config=lambda: SimpleNamespace(vocab_size=88))
    text = ModelText(directory, config, "python-task")
    assert text.encode_text("xu") == [87, 84]
    with pytest.raises(ModelError, match=r"has a token 88 \('y'\), the model has 88 tokens"):
        text.encode_text("xyx")


def test_a_cache_that_does_not_fit_into_the_memory_ends_the_load_and_not_the_process(source: Path) -> None:
    with pytest.raises(OutOfMemoryError, match="no room for the model tiny") as caught:
        load(source, slots=2**40)
    assert "engine.slots" in caught.value.hint
    assert load(source).network.prefill(0, 0, PROMPT).isfinite().all()


def test_python_running_out_of_memory_is_the_same(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(loading, "_read_config", fill)
    with pytest.raises(OutOfMemoryError, match="no room for the model tiny"):
        load(source)


@pytest.fixture
def start(source: Path) -> Iterator[Callable[[str, Callable[..., bool]], BatchedModel]]:
    started: list[BatchedModel] = []

    def build(step: str, is_too_large: Callable[..., bool]) -> BatchedModel:
        parts = load(source, prefill_chunk=8)
        compute = getattr(parts.network, step)

        def limited(*arguments: Any) -> Any:
            if is_too_large(*arguments):
                raise RuntimeError(NO_MEMORY)
            return compute(*arguments)

        setattr(parts.network, step, limited)
        started.append(parts.start("tiny"))
        return started[-1]

    yield build
    for model in started:
        model.close()


def answer(model: BatchedModel, ids: list[int], **sampling: Any) -> Collected:
    done = Collected(ids, max_tokens=30, **sampling)
    model.submit(done.job)
    return done.wait()


def test_a_prompt_that_does_not_fit_into_the_memory_ends_alone(
    start: Callable[[str, Callable[..., bool]], BatchedModel],
) -> None:
    model = start("prefill", lambda _slot, begin, _ids: begin >= 16)
    failed = answer(model, PROMPT * 4)
    assert isinstance(failed.end().error, OutOfMemoryError)
    assert "no room for this request" in str(failed.end().error)
    assert answer(model, PROMPT).end().error is None
    assert model.active_sequences() == 0


def test_a_batch_that_does_not_fit_into_the_memory_ends_and_smaller_ones_go_on(
    start: Callable[[str, Callable[..., bool]], BatchedModel],
) -> None:
    model = start("decode_step", lambda slots, _positions, _ids: len(slots) > 1)
    failed = answer(model, PROMPT, n=4, temperature=0.8)
    assert isinstance(failed.end().error, OutOfMemoryError)
    assert answer(model, PROMPT).end().error is None
    assert model.active_sequences() == 0
