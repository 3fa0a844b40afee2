# pyright: basic
"""Llama-architecture weights: from safetensors into the form they run in, one layer at a time.

Knows the names and shapes of the files; the forward pass is in `llama`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor

from assistant.engine.cache import SlotCache
from assistant.engine.device import Placement, fit_slots
from assistant.engine.interface import LoadProgress
from assistant.engine.kernels.ops import HEAD_SIZES, Kernels
from assistant.engine.kernels.packing import is_packable
from assistant.engine.linear import PlainLinear, build_linear
from assistant.engine.llama import LlamaLayer, LlamaNetwork, LlamaShape, LlamaWeights
from assistant.errors import ModelError

MODEL_TYPES = ("llama", "mistral")
ROPE_TYPES = ("default", "linear", "llama3", "yarn")
"""Those whose frequencies do not change with the length of the text."""


def is_supported(config: Any, context: int) -> bool:
    """Say whether `llama` computes exactly this architecture."""
    window = getattr(config, "sliding_window", None)
    return (
        config.model_type in MODEL_TYPES
        and config.hidden_act == "silu"
        and not getattr(config, "attention_bias", False)
        and not getattr(config, "mlp_bias", False)
        and (window is None or window >= context)
        and _rope(config).get("rope_type", "default") in ROPE_TYPES
    )


def load_llama(
    directory: Path, config: Any, placement: Placement, context: int,
    report: Callable[[LoadProgress], None], kernels: Kernels | None = None,
) -> LlamaNetwork:  # fmt: skip
    """Read and quantise all weights.

    Raises:
        ModelError: A tensor is missing or has not the shape that config.json promises.
    """
    shape = build_shape(config)
    files = _TensorFiles(directory)
    device, dtype, kind = placement.device, placement.dtype, placement.quantization

    def read(name: str, *expected: int) -> Tensor:
        return files.read(name, expected).to(dtype)

    kernels = kernels if fits_kernels(shape, kind) else None
    norm_dtype = torch.float32 if kernels else dtype

    def norm(name: str) -> Tensor:
        return read(name, shape.hidden).to(device, norm_dtype)

    hidden, size = shape.hidden, shape.head_dim
    embedding = read("model.embed_tokens.weight", shape.vocab_size, hidden)
    layers: list[LlamaLayer] = []
    for index in range(shape.layers):
        report(LoadProgress(stage="reading weights", fraction=index / shape.layers))
        layers.append(_read_layer(read, norm, f"model.layers.{index}", shape, placement, kernels))
    if config.tie_word_embeddings or not files.has("lm_head.weight"):
        head_matrix = embedding
    else:
        head_matrix = read("lm_head.weight", shape.vocab_size, hidden)
    # The head decides between near-equal tokens, and rounding it to 4 bits costs most: int8 on the CPU.
    head_kind = "none" if kind in ("none", "nf4") else "int8"
    embedding = embedding.to(device)
    head = (
        PlainLinear(embedding)
        if head_kind == "none" and head_matrix.shape == embedding.shape and config.tie_word_embeddings
        else build_linear(head_matrix, head_kind, device, kernels)
    )
    frequencies, rope_scale = rope_frequencies(config, size)
    weights = LlamaWeights(
        embedding=embedding,
        layers=tuple(layers),
        norm=norm("model.norm.weight"),
        head=head,
        rope_inverse_frequencies=frequencies.to(device),
        rope_scale=rope_scale,
    )
    return LlamaNetwork(shape, weights, build_cache(shape, placement, context), kind, kernels)


def build_cache(shape: LlamaShape, placement: Placement, context: int) -> SlotCache:
    """Set memory aside for as many slots as fit beside the weights, which are loaded already."""
    numbers: Any = {
        "layers": shape.layers, "heads": shape.kv_heads, "tokens": context, "head_dim": shape.head_dim,
        "dtype": placement.dtype,
    }  # fmt: skip
    slots = fit_slots(placement, SlotCache.slot_bytes(**numbers))
    return SlotCache(**numbers, slots=slots, device=placement.device)


def fits_kernels(shape: LlamaShape, quantization: str) -> bool:
    """Say whether the compiled kernels can compute this shape in this form."""
    columns = (shape.hidden, shape.intermediate, shape.heads * shape.head_dim)
    return (
        quantization in ("int4", "int8") and all(map(is_packable, columns)) and shape.head_dim in HEAD_SIZES
    )


def build_shape(config: Any) -> LlamaShape:
    """Read the numbers of a transformers config."""
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return LlamaShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=head_dim,
        intermediate=config.intermediate_size,
        vocab_size=config.vocab_size,
        rms_eps=config.rms_norm_eps,
    )


def rope_frequencies(config: Any, head_dim: int) -> tuple[Tensor, float]:
    """Return inverse frequencies (head_dim / 2,) and the factor on cosine and sine.

    The plain ones are those of RoFormer (Su et al., 2021); the scaled ones are computed by transformers.
    """
    rope = _rope(config)
    kind = str(rope.get("rope_type", "default"))
    if kind == "default":
        theta = float(rope.get("rope_theta") or getattr(config, "rope_theta", None) or 10_000.0)
        exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
        return 1.0 / theta**exponents, 1.0
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    compute = cast("Any", ROPE_INIT_FUNCTIONS)[kind]
    frequencies, scale = compute(config, torch.device("cpu"))
    return frequencies.float(), float(scale)


def _rope(config: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", getattr(config, "rope_parameters", None) or {})


def _read_layer(
    read: Callable[..., Tensor], norm: Callable[[str], Tensor], prefix: str, shape: LlamaShape,
    placement: Placement, kernels: Kernels | None,
) -> LlamaLayer:  # fmt: skip
    hidden, inner = shape.hidden, shape.intermediate
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    device, kind = placement.device, placement.quantization

    def matrix(names: Sequence[str], rows: Sequence[int], columns: int) -> Any:
        parts = [read(f"{prefix}.{n}.weight", r, columns) for n, r in zip(names, rows, strict=True)]
        return build_linear(torch.cat(parts), kind, device, kernels)

    attention = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    return LlamaLayer(
        attention_norm=norm(f"{prefix}.input_layernorm.weight"),
        qkv=matrix(attention, (queries, keys, keys), hidden),
        output=matrix(("self_attn.o_proj",), (hidden,), queries),
        mlp_norm=norm(f"{prefix}.post_attention_layernorm.weight"),
        gate_up=matrix(("mlp.gate_proj", "mlp.up_proj"), (inner, inner), hidden),
        down=matrix(("mlp.down_proj",), (hidden,), inner),
    )


class _TensorFiles:
    """The tensors of one or several safetensors files, by name."""

    def __init__(self, directory: Path) -> None:
        self._files: dict[str, Any] = {}
        index = directory / "model.safetensors.index.json"
        if index.is_file():
            places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            shards = sorted(set(places.values()))
        else:
            shards = sorted(path.name for path in directory.glob("*.safetensors"))
        for shard in shards:
            file = cast("Any", safe_open)(directory / shard, framework="pt", device="cpu")
            for name in file.keys():  # noqa: SIM118 - not a dict
                self._files[name] = file

    def has(self, name: str) -> bool:
        return name in self._files

    def read(self, name: str, expected: Sequence[int]) -> Tensor:
        file = self._files.get(name)
        if file is None:
            raise ModelError(f"the model's files hold no tensor {name}", hint="pull it again")
        tensor = cast("Tensor", file.get_tensor(name))
        if tuple(tensor.shape) != tuple(expected):
            raise ModelError(
                f"tensor {name} has shape {tuple(tensor.shape)}, config.json says {tuple(expected)}",
                hint="config.json and the weights do not belong together; pull the model again",
            )
        return tensor
