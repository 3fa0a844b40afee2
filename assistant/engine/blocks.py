# pyright: basic
"""The parts of a layer between its matrices: norm, gate, attention; by torch, or by the compiled kernels.

Both compute the same in the same order of steps. Torch's run on any device, in the compute dtype; the
kernels' on a CPU, in float32. Knows no weights, sampling or requests.

Letters: N tokens in the batch, L tokens of one sequence, T positions so far, D hidden, H query heads,
K key/value heads, G = H / K, E head size; S slots of R rows in a step of fixed shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from assistant.engine.cache import SlotCache
from assistant.engine.kernels.ops import Kernels
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


class Blocks(Protocol):
    """What a layer does beside multiplying."""

    dtype: torch.dtype
    """Of x."""

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """Scale x (N, D) to root mean square 1, then by `weight` (D,) (Zhang and Sennrich, 2019)."""
        ...

    def gate(self, both: Tensor) -> Tensor:
        """(N, 2 I), gate and up -> SwiGLU's (N, I) (Shazeer, 2020)."""
        ...

    def attention(self, segments: Sequence[Segment]) -> Attention:
        """Return the attention of a batch that is laid out so: it fills the cache as it goes."""
        ...


class TorchBlocks:
    """By torch."""

    def __init__(self, cache: SlotCache, cosine: Tensor, sine: Tensor, heads: int, eps: float) -> None:
        self.dtype = cache.dtype
        self._cache, self._heads, self._eps = cache, heads, eps
        half = cache.head_dim // 2
        self._cosine = cosine.to(cache.dtype)  # (T, E)
        self._sine = torch.cat([-sine[:, :half], sine[:, half:]], dim=-1).to(cache.dtype)  # (T, E)
        self._columns = torch.arange(cache.tokens, device=cosine.device)

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """Normalise; see `Blocks`."""
        return functional.rms_norm(x, weight.shape, weight, self._eps)

    def gate(self, both: Tensor) -> Tensor:
        """Gate; see `Blocks`."""
        gate, up = both.chunk(2, dim=-1)  # (N, I) each
        return functional.silu(gate) * up

    def attention(self, segments: Sequence[Segment]) -> Attention:
        """Attend sequence by sequence; see `Blocks`."""
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


class KernelBlocks:
    """By the compiled kernels. A token's result does not depend on the batch that it is in."""

    dtype = torch.float32

    def __init__(
        self, cache: SlotCache, cosine: Tensor, sine: Tensor, heads: int, eps: float, kernels: Kernels
    ) -> None:
        self._cache, self._heads, self._eps, self._kernels = cache, heads, eps, kernels
        self._cosine, self._sine = cosine.float(), sine.float()  # (T, E)

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """Normalise; see `Blocks`."""
        return self._kernels.normalize(x, weight, self._eps)

    def gate(self, both: Tensor) -> Tensor:
        """Gate; see `Blocks`."""
        return self._kernels.gate(both)

    def attention(self, segments: Sequence[Segment]) -> Attention:
        """Attend all rows at once; see `Blocks`."""
        cache, heads, kernel, cosine, sine = (
            self._cache,
            self._heads,
            self._kernels.attend,
            self._cosine,
            self._sine,
        )
        slots = torch.tensor([s.slot for s in segments for _ in range(s.length)])  # (N,)
        positions = torch.tensor([p for s in segments for p in range(s.start, s.start + s.length)])  # (N,)

        def attend(layer: int, qkv: Tensor) -> Tensor:
            return kernel(qkv, cosine, sine, cache.keys[layer], cache.values[layer], slots, positions, heads)

        return attend


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
