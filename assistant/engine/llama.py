# pyright: basic
"""The Llama architecture, written for inference: one forward pass for prefill and decode alike.

RMSNorm, rotary positions, grouped-query attention, SwiGLU. Tokens of several sequences are laid end to
end in one batch, so that every matrix is read once; attention runs sequence by sequence over its own
slot of the cache. Knows nothing of text, sampling or requests.

Letters: N tokens in the batch, L tokens of one sequence, T positions so far, D hidden, H query heads,
K key/value heads, G = H / K, E head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from assistant.engine.cache import SlotCache
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The tokens of one sequence in a batch."""

    slot: int
    start: int
    """Position of its first token."""
    length: int


class LlamaNetwork:
    """A Llama with its cache."""

    keeps_prefixes = True

    def __init__(self, shape: LlamaShape, weights: LlamaWeights, cache: SlotCache, quantization: str) -> None:
        self.vocab_size = shape.vocab_size
        self.quantization = quantization
        self.slots = cache.slots
        self._shape = shape
        self._weights = weights
        self._cache = cache
        self._device = weights.embedding.device
        angles = torch.outer(
            torch.arange(cache.tokens, device=self._device).float(), weights.rope_inverse_frequencies
        )  # (T, E / 2)
        angles = torch.cat([angles, angles], dim=-1)
        dtype = weights.embedding.dtype
        self._cosine = (angles.cos() * weights.rope_scale).to(dtype)  # (T, E)
        self._sine = (angles.sin() * weights.rope_scale).to(dtype)

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
        weights, eps = self._weights, self._shape.rms_eps
        positions = torch.cat([torch.arange(s.start, s.start + s.length) for s in segments])
        positions = positions.to(self._device)  # (N,)
        cosine = self._cosine[positions][:, None]  # (N, 1, E)
        sine = self._sine[positions][:, None]
        masks = [_causal_mask(s, self._group(), self._device) for s in segments]
        x = functional.embedding(torch.tensor(ids, device=self._device), weights.embedding)  # (N, D)
        for index, layer in enumerate(weights.layers):
            normed = rms_norm(x, layer.attention_norm, eps)
            x = x + layer.output(self._attend(index, layer, normed, segments, masks, (cosine, sine)))
            gate, up = layer.gate_up(rms_norm(x, layer.mlp_norm, eps)).chunk(2, dim=-1)  # (N, I) each
            x = x + layer.down(functional.silu(gate) * up)
        return rms_norm(x, weights.norm, eps)  # (N, D)

    def _attend(
        self, index: int, layer: LlamaLayer, x: Tensor, segments: Sequence[Segment],
        masks: Sequence[Tensor | None], rotation: tuple[Tensor, Tensor],
    ) -> Tensor:  # fmt: skip
        shape = self._shape
        heads, kv_heads, size = shape.heads, shape.kv_heads, shape.head_dim
        qkv = layer.qkv(x).view(x.shape[0], heads + 2 * kv_heads, size)  # (N, H + 2K, E)
        turned = rotate(qkv[:, : heads + kv_heads], *rotation)
        q, k, v = turned[:, :heads], turned[:, heads:], qkv[:, heads + kv_heads :]
        parts: list[Tensor] = []
        begin = 0
        for segment, mask in zip(segments, masks, strict=True):
            end = begin + segment.length
            keys, values = self._cache.extend(
                index, segment.slot, segment.start, k[begin:end].transpose(0, 1), v[begin:end].transpose(0, 1)
            )  # (K, T, E) each
            # Query heads that share a key head become more queries of it: no key is copied.
            queries = q[begin:end].view(-1, kv_heads, self._group(), size)  # (L, K, G, E)
            queries = queries.permute(1, 2, 0, 3).reshape(kv_heads, -1, size)  # (K, G L, E)
            mixed = functional.scaled_dot_product_attention(
                queries[None], keys[None], values[None], attn_mask=mask
            )[0]
            mixed = mixed.view(kv_heads, self._group(), segment.length, size).permute(2, 0, 1, 3)
            parts.append(mixed.reshape(segment.length, heads * size))
            begin = end
        return parts[0] if len(parts) == 1 else torch.cat(parts)  # (N, H E)

    def _group(self) -> int:
        return self._shape.heads // self._shape.kv_heads

    @torch.inference_mode()
    def _logits(self, hidden: Tensor) -> Tensor:
        return self._weights.head(hidden).float()


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Scale x (N, D) to root mean square 1, then by `weight` (D,) (Zhang and Sennrich, 2019)."""
    return functional.rms_norm(x, weight.shape, weight, eps)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn x (N, heads, E) by its position's angles (N, 1, E); halves are paired, as in RoFormer's port."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cosine + turned * sine


def _causal_mask(segment: Segment, group: int, device: torch.device) -> Tensor | None:
    """(G L, T), true where a query may look; None for a single token, which sees all before it."""
    if segment.length == 1:
        return None
    rows = torch.arange(segment.start, segment.start + segment.length, device=device)
    columns = torch.arange(segment.start + segment.length, device=device)
    return (columns[None, :] <= rows[:, None]).repeat(group, 1)


def _matrix_bytes(weights: LlamaWeights) -> int:
    return sum(m.memory_bytes for y in weights.layers for m in (y.qkv, y.output, y.gate_up, y.down))


def _weight_bytes(weights: LlamaWeights) -> int:
    tied = getattr(weights.head, "weight", None) is weights.embedding
    head = 0 if tied else weights.head.memory_bytes
    return weights.embedding.nbytes + _matrix_bytes(weights) + head
