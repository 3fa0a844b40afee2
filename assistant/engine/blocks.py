# pyright: basic
"""The parts of a layer between its matrices: norm, gate, attention; by torch, on any device.

Knows no weights, sampling or requests.

Letters: N tokens in the batch, L tokens of one sequence, T positions so far, D hidden, H query heads,
K key/value heads, G = H / K, E head size; S slots of R rows in a step of fixed shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from assistant.engine.cache import SlotCache
from assistant.engine.static_step import StaticRows


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The tokens of one sequence in a batch."""

    slot: int
    start: int
    """Position of its first token."""
    length: int


Attention = Callable[[int, Tensor], Tensor]
"""A layer's number and qkv (N, (H + 2 K) E) -> (N, H E)."""


class Blocks:
    """What a layer does beside multiplying.

    Args:
        cache: Of keys and values; its dtype is that of x.
        cosine: (T, E), of the positions' angles.
        sine: (T, E).
        heads: H.
        eps: Of the norm.
    """

    def __init__(self, cache: SlotCache, cosine: Tensor, sine: Tensor, heads: int, eps: float) -> None:
        self.dtype = cache.dtype
        self._cache, self._heads, self._eps = cache, heads, eps
        half = cache.head_dim // 2
        self._cosine = cosine.to(cache.dtype)  # (T, E)
        self._sine = torch.cat([-sine[:, :half], sine[:, half:]], dim=-1).to(cache.dtype)  # (T, E)
        self._columns = torch.arange(cache.tokens, device=cosine.device)

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """Scale x (N, D) to root mean square 1, then by `weight` (D,) (Zhang and Sennrich, 2019)."""
        return functional.rms_norm(x, weight.shape, weight, self._eps)

    def gate(self, both: Tensor) -> Tensor:
        """(N, 2 I), gate and up -> SwiGLU's (N, I) (Shazeer, 2020)."""
        gate, up = both.chunk(2, dim=-1)  # (N, I) each
        return functional.silu(gate) * up

    def attention(self, segments: Sequence[Segment]) -> Attention:
        """Return the attention of a batch that is laid out so: it fills the cache as it goes."""
        cache, heads, device = self._cache, self._heads, self._cosine.device
        positions = torch.cat([torch.arange(s.start, s.start + s.length) for s in segments]).to(
            device
        )  # (N,)
        split = self._splitter(positions)
        masks = [_causal_mask(segment, heads // cache.heads, device) for segment in segments]

        def attend(layer: int, qkv: Tensor) -> Tensor:
            q, k, v = split(qkv)
            parts: list[Tensor] = []
            begin = 0
            for segment, mask in zip(segments, masks, strict=True):
                end = begin + segment.length
                keys, values = cache.extend(
                    layer,
                    segment.slot,
                    segment.start,
                    k[begin:end].transpose(0, 1),
                    v[begin:end].transpose(0, 1),
                )  # (K, T, E) each
                parts.append(_attend(q[None, begin:end], keys[None], values[None], mask))
                begin = end
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        return attend

    def attention_at(self, rows: StaticRows) -> Attention:
        """Return the attention of a step of fixed shape: the numbers in `rows` may be others at each call."""
        cache, shape, heads = self._cache, rows.shape, self._heads
        split = self._splitter(rows.positions)
        window = slice(shape.first_slot, shape.first_slot + shape.slots)
        ends = rows.positions if shape.slots == 1 else rows.positions[rows.picked]  # (S R,)
        later = self._columns[: shape.columns] > ends.view(shape.slots, 1, -1, 1)  # (S, 1, R, T)
        mask = torch.zeros_like(later, dtype=self.dtype).masked_fill_(later, -torch.inf)
        mask = mask.repeat(1, 1, heads // cache.heads, 1)  # (S, 1, G R, T)

        def attend(layer: int, qkv: Tensor) -> Tensor:
            q, k, v = split(qkv)
            cache.write_rows(layer, rows.slots, rows.positions, k, v)
            keys, values = (
                buffers[layer][window, :, : shape.columns] for buffers in (cache.keys, cache.values)
            )  # (S, K, T, E) each
            if shape.slots == 1:
                return _attend(q[None], keys, values, mask)
            queries = q[rows.picked].view(shape.slots, -1, *q.shape[1:])  # (S, R, H, E)
            return _attend(queries, keys, values, mask)[rows.cells]

        return attend

    def _splitter(self, positions: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Return what splits qkv (N, (H + 2 K) E) into q (N, H, E), k and v (N, K, E), q and k rotated."""
        heads, kv_heads, size = self._heads, self._cache.heads, self._cache.head_dim
        cosine, sine = self._cosine[positions][:, None], self._sine[positions][:, None]  # (N, 1, E)

        def split(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            qkv = qkv.view(qkv.shape[0], heads + 2 * kv_heads, size)
            turned = rotate(qkv[:, : heads + kv_heads], cosine, sine)
            return turned[:, :heads], turned[:, heads:], qkv[:, heads + kv_heads :]

        return split


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn x (N, heads, E) by its position's angles; halves are paired, as in RoFormer's port.

    Args:
        x: Queries or keys.
        cosine: (N, 1, E).
        sine: (N, 1, E), its first half negated.
    """
    return torch.addcmul(x * cosine, x.roll(x.shape[-1] // 2, -1), sine)


def _attend(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attend with q (S, L, H, E) to keys and values (S, K, T, E) -> (S L, H E)."""
    slots, length, heads, size = q.shape
    kv_heads = keys.shape[1]
    # Query heads that share a key head become more queries of it: no key is copied.
    queries = q.reshape(slots, length, kv_heads, heads // kv_heads, size).permute(0, 2, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(
        queries.reshape(slots, kv_heads, -1, size), keys, values, attn_mask=mask
    )  # (S, K, G L, E)
    mixed = mixed.view(slots, kv_heads, heads // kv_heads, length, size).permute(0, 3, 1, 2, 4)
    return mixed.reshape(slots * length, heads * size)


def _causal_mask(segment: Segment, group: int, device: torch.device) -> Tensor | None:
    """(G L, T), true where a query may look; None for a single token, which sees all before it."""
    if segment.length == 1:
        return None
    rows = torch.arange(segment.start, segment.start + segment.length, device=device)
    columns = torch.arange(segment.start + segment.length, device=device)
    return (columns[None, :] <= rows[:, None]).repeat(group, 1)
