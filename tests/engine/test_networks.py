from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from assistant.config import EngineSettings
from assistant.engine import llama_weights, other
from assistant.engine.device import Placement, choose_placement
from assistant.engine.network import Network
from assistant.errors import ModelError

SaveModel = Callable[[str, dict[str, Any]], Path]

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "llama with a head of its own": ("LlamaConfig", {"tie_word_embeddings": False}),
    "llama 3": (
        "LlamaConfig",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "llama, linear scaling": (
        "LlamaConfig",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
    ),
    "llama, yarn": (
        "LlamaConfig",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "llama, one head for each query": ("LlamaConfig", {"num_key_value_heads": 4}),
    "mistral": ("MistralConfig", {"sliding_window": None}),
}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen 2": ("Qwen2Config", {"tie_word_embeddings": True}),
    "gpt-neox": ("GPTNeoXConfig", {}),
    "mistral with a short window": ("MistralConfig", {"sliding_window": 16}),
}
SHAPE = {
    "vocab_size": 160,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
}


@pytest.fixture(scope="session")
def save_random_model(tmp_path_factory: pytest.TempPathFactory) -> SaveModel:
    """Return a function that saves a random model of a family and gives its directory."""

    def save(config_class: str, options: dict[str, Any]) -> Path:
        torch.manual_seed(3)
        key_values = {} if config_class == "GPTNeoXConfig" else {"num_key_value_heads": 2}
        config = getattr(transformers, config_class)(**{**SHAPE, **key_values, **options})
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():  # far from zero, so that a wrong mask or angle shows
            torch.nn.init.normal_(parameter, std=0.25 if parameter.dim() > 1 else 1.0)
        directory = tmp_path_factory.mktemp("random")
        model.save_pretrained(directory)
        return directory

    return save


IDS = [1, 5, 77, 3, 150, 9, 9, 42, 17, 80, 2, 66, 31, 101, 7, 8, 120, 55, 4, 90]


def placement(quantization: str = "none", dtype: torch.dtype = torch.float32) -> Placement:
    made = choose_placement(EngineSettings(device="cpu", quantization=quantization, slots=4), usable_cores=2)
    return Placement(
        device=made.device,
        dtype=dtype,
        quantization=made.quantization,
        slots=made.slots,
        prefill_chunk=8,
        decode_threads=(1,),
        prefill_threads=2,
    )


def load(directory: Path, how: Placement) -> Network:
    config = transformers.AutoConfig.from_pretrained(directory)
    if llama_weights.is_supported(config, 256):
        return llama_weights.load_llama(directory, config, how, 256, lambda _: None)
    return other.load_other(directory, config, how, lambda _: None)


def reference_logits(directory: Path, ids: list[int]) -> torch.Tensor:
    model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0]  # (T, vocab)


@pytest.mark.parametrize("family", [*FAMILIES, *OTHERS])
def test_logits_are_those_of_transformers(family: str, save_random_model: SaveModel) -> None:
    directory = save_random_model(*{**FAMILIES, **OTHERS}[family])
    network = load(directory, placement())
    expected = reference_logits(directory, IDS)

    whole = network.prefill(0, 0, IDS)
    network.prefill(1, 0, IDS[:7])
    chunked = network.prefill(1, 7, IDS[7:12])
    torch.testing.assert_close(whole, expected[-1], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(chunked, expected[11], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen 2"])
def test_sequences_of_different_lengths_decode_together(family: str, save_random_model: SaveModel) -> None:
    directory = save_random_model(*{**FAMILIES, **OTHERS}[family])
    network = load(directory, placement())
    expected = reference_logits(directory, IDS)
    network.prefill(2, 0, IDS[:4])
    network.prefill(0, 0, IDS[:11])

    for step in range(3):
        logits = network.decode_step([2, 0], [4 + step, 11 + step], [[IDS[4 + step]], [IDS[11 + step]]])
        torch.testing.assert_close(logits[0], expected[4 + step], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(logits[1], expected[11 + step], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "qwen 2"])
def test_guessed_tokens_are_computed_as_if_they_came_one_by_one(
    family: str, save_random_model: SaveModel
) -> None:
    directory = save_random_model(*{**FAMILIES, **OTHERS}[family])
    network = load(directory, placement())
    expected = reference_logits(directory, IDS)
    network.prefill(1, 0, IDS[:6])
    network.prefill(3, 0, IDS[:9])

    wrong = [IDS[6], 99, 98]
    network.decode_step([1, 3], [6, 9], [wrong, [IDS[9]]])
    logits = network.decode_step([1, 3], [7, 10], [IDS[7:11], IDS[10:12]])
    torch.testing.assert_close(logits[:4], expected[7:11], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(logits[4:], expected[10:12], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "qwen 2"])
def test_a_copied_beginning_goes_on_like_a_computed_one(family: str, save_random_model: SaveModel) -> None:
    directory = save_random_model(*{**FAMILIES, **OTHERS}[family])
    network = load(directory, placement())
    expected = reference_logits(directory, IDS)
    network.prefill(0, 0, IDS[:12])

    network.copy_prefix(0, 3, 8)
    logits = network.prefill(3, 8, IDS[8:])
    torch.testing.assert_close(logits, expected[-1], rtol=1e-4, atol=1e-3)


def test_only_architectures_computed_exactly_take_the_fast_path(save_random_model: SaveModel) -> None:
    def supported(config_class: str, options: dict[str, Any]) -> bool:
        config = transformers.AutoConfig.from_pretrained(save_random_model(config_class, options))
        return llama_weights.is_supported(config, 256)

    assert all(supported(*FAMILIES[name]) for name in FAMILIES)
    assert not any(supported(*OTHERS[name]) for name in OTHERS)
    assert not supported("LlamaConfig", {"attention_bias": True})


def test_a_config_that_lies_about_a_shape_is_named(save_random_model: SaveModel) -> None:
    directory = save_random_model(*FAMILIES["llama"])
    config = transformers.AutoConfig.from_pretrained(directory)
    config.intermediate_size = 128

    with pytest.raises(ModelError, match=r"mlp\.gate_proj.*\(96, 64\).*\(128, 64\)"):
        llama_weights.load_llama(directory, config, placement(), 256, lambda _: None)


def test_a_missing_tensor_is_named(save_random_model: SaveModel) -> None:
    directory = save_random_model(*FAMILIES["llama"])
    config = transformers.AutoConfig.from_pretrained(directory)
    config.num_hidden_layers = 4

    with pytest.raises(ModelError, match=r"model\.layers\.3"):
        llama_weights.load_llama(directory, config, placement(), 256, lambda _: None)


@pytest.mark.parametrize(("quantization", "tolerance"), [("int8", 0.05), ("int4", 0.5), ("nf4", 0.5)])
def test_quantised_logits_stay_near(
    quantization: str, tolerance: float, save_random_model: SaveModel
) -> None:
    directory = save_random_model(*FAMILIES["llama"])
    exact = load(directory, placement(dtype=torch.bfloat16)).prefill(0, 0, IDS)
    rounded = load(directory, placement(quantization, torch.bfloat16)).prefill(0, 0, IDS)
    assert float((rounded - exact).norm() / exact.norm()) < tolerance


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("quantization", "tolerance"), [("none", 0.05), ("nf4", 0.5)])
@pytest.mark.parametrize("family", ["llama", "qwen 2"])
def test_a_gpu_computes_what_the_processor_computes(
    family: str, quantization: str, tolerance: float, save_random_model: SaveModel
) -> None:
    directory = save_random_model(*{**FAMILIES, **OTHERS}[family])
    how = choose_placement(EngineSettings(device="cuda", quantization=quantization, slots=4), usable_cores=2)
    network = load(directory, how)
    expected = reference_logits(directory, IDS)
    network.prefill(2, 0, IDS[:9])
    logits = network.decode_step([2], [9], [IDS[9:12]]).cpu()
    assert float((logits - expected[9:12]).norm() / expected[9:12].norm()) < tolerance
