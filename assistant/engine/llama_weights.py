# pyright: basic
"""Llama-architecture weights: from safetensors into the form they run in, one layer at a time.

Knows the names and shapes of the files; the forward pass is in `llama`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from assistant.engine.cache import SlotCache
from assistant.engine.device import Placement, fit_slots
from assistant.engine.interface import LoadProgress
from assistant.engine.kernels.ops import HEAD_SIZES, Kernels
from assistant.engine.kernels.packing import is_packable
from assistant.engine.linear import (
    PACKED_HEAD,
    AnyLinear,
    PlainLinear,
    build_linear,
    build_packed_linear,
    pack,
    packed_forms,
)
from assistant.engine.llama import LlamaLayer, LlamaNetwork, LlamaShape, LlamaWeights
from assistant.engine.stored import Place, StoredMatrices
from assistant.engine.tensor_files import TensorFiles
from assistant.errors import ModelError

log = logging.getLogger(__name__)

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"
PULL = "config.json and the weights do not belong together; pull the model again"
MODEL_TYPES = ("llama", "mistral")
KNOWN_TENSOR = re.compile(
    r"(?:model\.embed_tokens|model\.norm|lm_head)\.weight"
    r"|model\.layers\.(?P<layer>\d+)\."
    r"(?:self_attn\.(?:[qkvo]_proj\.weight|rotary_emb\.inv_freq)|mlp\.(?:gate|up|down)_proj\.weight"
    r"|(?:input|post_attention)_layernorm\.weight)"
)
"""Angles are computed here, even where old files bring them along."""
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
    report: Callable[[LoadProgress], None], kernels: Kernels | None = None, place: Place | None = None,
) -> LlamaNetwork:  # fmt: skip
    """Read and quantise all weights.

    Args:
        directory: Of the model.
        config: As transformers reads it.
        placement: Where and in which form it is to run.
        context: Tokens in each slot of the cache.
        report: Told how far it is.
        kernels: What multiplies int4 and int8 matrices; None for torch's own.
        place: Where matrices packed for the kernels are kept for the next time; None to keep none.

    Raises:
        ModelError: A tensor is missing or has not the shape that config.json promises.
    """
    shape = build_shape(config)
    kind = placement.quantization
    kernels = kernels if fits_kernels(shape, kind) else None
    files = TensorFiles(directory)
    check_names(files.names(), shape.layers)
    stored = StoredMatrices(place if kernels else None, kind)
    reader = _Reader(files, stored, shape, placement, kernels)
    layers: list[LlamaLayer] = []
    for index in range(shape.layers):
        report(LoadProgress(stage="reading weights", fraction=index / shape.layers))
        layers.append(reader.read_layer(f"model.layers.{index}"))
    embedding = reader.read_tensor(EMBEDDING, shape.vocab_size, shape.hidden).to(placement.device)
    frequencies, rope_scale = rope_frequencies(config, shape.head_dim)
    weights = LlamaWeights(
        embedding=embedding,
        layers=tuple(layers),
        norm=reader.read_norm("model.norm.weight"),
        head=reader.read_head(embedding, is_tied=config.tie_word_embeddings),
        rope_inverse_frequencies=frequencies.to(placement.device),
        rope_scale=rope_scale,
    )
    stored.write()
    return LlamaNetwork(
        shape, weights, build_cache(shape, placement, context, stored.mapped_bytes), kind, kernels
    )


def check_names(names: Iterable[str], layers: int) -> None:
    """Look for tensors that config.json says nothing of. Those of a Llama that has more parts are left out.

    Raises:
        ModelError: There are more layers: without them, the others answer nonsense.
    """
    unused: list[str] = []
    for name in sorted(names):
        known = KNOWN_TENSOR.fullmatch(name)
        if known and known["layer"] and int(known["layer"]) >= layers:
            raise ModelError(f"there is a tensor {name}, and config.json has {layers} layers", hint=PULL)
        if not known:
            unused.append(name)
    if unused:
        log.warning("%d tensors are not used, %s for one: this model may be another than it says",
                    len(unused), unused[0])  # fmt: skip


def build_cache(shape: LlamaShape, placement: Placement, context: int, still_to_come: int = 0) -> SlotCache:
    """Set memory aside for as many slots as fit beside the weights.

    All of these are in memory already, but for so many bytes.
    """
    numbers: Any = {
        "layers": shape.layers, "heads": shape.kv_heads, "tokens": context, "head_dim": shape.head_dim,
        "dtype": placement.dtype,
    }  # fmt: skip
    slots = fit_slots(placement, SlotCache.slot_bytes(**numbers), still_to_come)
    return SlotCache(**numbers, slots=slots, device=placement.device)


def fits_kernels(shape: LlamaShape, quantization: str) -> bool:
    """Say whether the compiled kernels can compute this shape in this form."""
    columns = (shape.hidden, shape.intermediate, shape.heads * shape.head_dim)
    return (
        quantization in ("int4", "int8") and all(map(is_packable, columns)) and shape.head_dim in HEAD_SIZES
    )


def build_shape(config: Any) -> LlamaShape:
    """Read the numbers of a transformers config.

    Raises:
        ModelError: One of them cannot be.
    """
    for name in ("num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads",
                 "intermediate_size", "vocab_size"):  # fmt: skip
        if getattr(config, name) < 1:
            raise ModelError(f"config.json: {name} must be above 0, got {getattr(config, name)}", hint=PULL)
    if config.num_attention_heads % config.num_key_value_heads:
        raise ModelError(
            f"config.json: num_key_value_heads = {config.num_key_value_heads} does not divide"
            f" num_attention_heads = {config.num_attention_heads}",
            hint=PULL,
        )
    if not config.rms_norm_eps >= 0:
        raise ModelError(
            f"config.json: rms_norm_eps must not be below 0, got {config.rms_norm_eps}", hint=PULL
        )
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


class _Reader:
    """Turns tensors of the files into what the network computes with, each by itself."""

    def __init__(
        self, files: TensorFiles, stored: StoredMatrices, shape: LlamaShape, placement: Placement,
        kernels: Kernels | None,
    ) -> None:  # fmt: skip
        self._files, self._stored, self._shape, self._kernels = files, stored, shape, kernels
        self._device, self._dtype, self._kind = placement.device, placement.dtype, placement.quantization

    def read_tensor(self, name: str, *expected: int) -> Tensor:
        """Read one in the compute dtype; a view of the file where that is the file's own."""
        return self._files.read(name, expected).to(self._dtype)

    def read_norm(self, name: str) -> Tensor:
        """Read a norm's weight (D,), for the kernels in float32; a copy, which does not hold the file."""
        dtype = torch.float32 if self._kernels else self._dtype
        return self.read_tensor(name, self._shape.hidden).to(self._device, dtype, copy=True)

    def read_layer(self, prefix: str) -> LlamaLayer:
        """Read one block."""
        hidden, inner = self._shape.hidden, self._shape.intermediate
        size = self._shape.head_dim
        queries, keys = self._shape.heads * size, self._shape.kv_heads * size

        def matrix(role: str, names: Sequence[str], rows: Sequence[int], columns: int) -> AnyLinear:
            def read() -> Tensor:
                parts = zip(names, rows, strict=True)
                tensors = [self.read_tensor(f"{prefix}.{name}.weight", row, columns) for name, row in parts]
                return torch.cat(tensors)

            return self._build(f"{prefix}.{role}", read, sum(rows), columns, self._kind)

        attention = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        return LlamaLayer(
            attention_norm=self.read_norm(f"{prefix}.input_layernorm.weight"),
            qkv=matrix("qkv", attention, (queries, keys, keys), hidden),
            output=matrix("output", ("self_attn.o_proj",), (hidden,), queries),
            mlp_norm=self.read_norm(f"{prefix}.post_attention_layernorm.weight"),
            gate_up=matrix("gate_up", ("mlp.gate_proj", "mlp.up_proj"), (inner, inner), hidden),
            down=matrix("down", ("mlp.down_proj",), (hidden,), inner),
        )

    def read_head(self, embedding: Tensor, *, is_tied: bool) -> AnyLinear:
        """Read the head, which is the embedding (vocab, D) where it is tied to it or has no tensor."""
        rows, columns = embedding.shape
        is_tied = is_tied or not self._files.has(HEAD)
        # The head decides between near-equal tokens, and rounding it to 4 bits costs most: int8 on the CPU.
        kind = "none" if self._kind in ("none", "nf4") else PACKED_HEAD if self._kernels else "int8"
        if kind == "none" and is_tied:
            return PlainLinear(embedding)

        def read() -> Tensor:  # not the embedding at hand: all of its pages would stay in memory with it
            return self.read_tensor(EMBEDDING if is_tied else HEAD, rows, columns)

        return self._build("head", read, rows, columns, kind)

    def _build(
        self, name: str, read: Callable[[], Tensor], rows: int, columns: int, kind: str
    ) -> AnyLinear:  # fmt: skip
        if self._kernels is None:
            return build_linear(read(), kind, self._device)
        tensors = self._stored.take(name, packed_forms(rows, columns, kind), lambda: pack(read(), kind))
        return build_packed_linear(tensors, rows, self._kernels)
