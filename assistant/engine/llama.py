# pyright: basic
"""The Llama architecture, written for inference: one forward pass for prefill and decode alike.

Tokens of several sequences are laid end to end in one batch, so that every matrix is read once; each
attends to its own slot of the cache. What happens between the matrices is in `blocks`. Knows nothing of
text, sampling or requests.

Letters: N tokens in the batch, D hidden, H query heads, K key/value heads, E head size, I intermediate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from assistant.engine.blocks import Blocks, KernelBlocks, Segment, TorchBlocks
from assistant.engine.cache import SlotCache
from assistant.engine.kernels.ops import Kernels
from assistant.engine.linear import AnyLinear


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaShape:
    """The numbers of a config.json that the forward pass needs."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab_size: int
    rms_eps: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaLayer:
    """One block's weights."""

    attention_norm: Tensor
    qkv: AnyLinear
    """(H E + 2 K E, D): queries, keys and values in one matrix."""
    output: AnyLinear
    mlp_norm: Tensor
    gate_up: AnyLinear
    """(2 I, D): gate and up in one matrix."""
    down: AnyLinear


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaWeights:
    """All weights, on the device."""

    embedding: Tensor
    """(vocab, D)."""
    layers: tuple[LlamaLayer, ...]
    norm: Tensor
    head: AnyLinear
    rope_inverse_frequencies: Tensor
    """(E / 2,), float32."""
    rope_scale: float
    """Multiplies cosine and sine: 1 but for YaRN."""


class LlamaNetwork:
    """A Llama with its cache."""

    keeps_prefixes = True

    def __init__(
        self, shape: LlamaShape, weights: LlamaWeights, cache: SlotCache, quantization: str,
        kernels: Kernels | None = None,
    ) -> None:  # fmt: skip
        self.vocab_size = shape.vocab_size
        self.quantization = quantization
        self.slots = cache.slots
        self._weights = weights
        self._cache = cache
        self._device = weights.embedding.device
        cosine, sine = rope_angles(weights, cache.tokens)
        self._blocks: Blocks = (
            KernelBlocks(cache, cosine, sine, shape.heads, shape.rms_eps, kernels)
            if kernels
            else TorchBlocks(cache, cosine, sine, shape.heads, shape.rms_eps)
        )

    @property
    def memory_bytes(self) -> int:
        """Weights and cache, on the device."""
        return _weight_bytes(self._weights) + self._cache.memory_bytes

    @property
    def token_bytes(self) -> int:
        """Weights that every step reads; see `Network`."""
        return _matrix_bytes(self._weights) + self._weights.head.memory_bytes

    def prefill(self, slot: int, start: int, ids: Sequence[int]) -> Tensor:
        """Compute a prompt's next tokens; see `Network`."""
        hidden = self._forward(ids, [Segment(slot=slot, start=start, length=len(ids))])
        return self._logits(hidden[-1:])[0]

    def decode_step(
        self, slots: Sequence[int], positions: Sequence[int], ids: Sequence[Sequence[int]]
    ) -> Tensor:
        """Compute the next token, or several guessed ones, of each sequence; see `Network`."""
        segments = [
            Segment(slot=slot, start=position, length=len(tokens))
            for slot, position, tokens in zip(slots, positions, ids, strict=True)
        ]
        return self._logits(self._forward([token for tokens in ids for token in tokens], segments))

    def copy_prefix(self, source: int, target: int, tokens: int) -> None:
        """Copy the first positions of one slot's cache to another's."""
        self._cache.copy_prefix(source, target, tokens)

    @torch.inference_mode()
    def _forward(self, ids: Sequence[int], segments: Sequence[Segment]) -> Tensor:
        weights = self._weights
        norm, gate, attend = self._blocks.norm, self._blocks.gate, self._blocks.attention(segments)
        x = functional.embedding(torch.tensor(ids, device=self._device), weights.embedding)  # (N, D)
        x = x.to(self._blocks.dtype)
        for index, layer in enumerate(weights.layers):
            x = x + layer.output(attend(index, layer.qkv(norm(x, layer.attention_norm))))
            x = x + layer.down(gate(layer.gate_up(norm(x, layer.mlp_norm))))
        return norm(x, weights.norm)  # (N, D)

    @torch.inference_mode()
    def _logits(self, hidden: Tensor) -> Tensor:
        return self._weights.head(hidden).float()


def rope_angles(weights: LlamaWeights, tokens: int) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of all positions, (tokens, E) each, float32."""
    positions = torch.arange(tokens, device=weights.rope_inverse_frequencies.device).float()
    angles = torch.outer(positions, weights.rope_inverse_frequencies)  # (tokens, E / 2)
    angles = torch.cat([angles, angles], dim=-1)
    return angles.cos() * weights.rope_scale, angles.sin() * weights.rope_scale


def _matrix_bytes(weights: LlamaWeights) -> int:
    return sum(m.memory_bytes for y in weights.layers for m in (y.qkv, y.output, y.gate_up, y.down))


def _weight_bytes(weights: LlamaWeights) -> int:
    tied = getattr(weights.head, "weight", None) is weights.embedding
    head = 0 if tied else weights.head.memory_bytes
    return weights.embedding.nbytes + _matrix_bytes(weights) + head
