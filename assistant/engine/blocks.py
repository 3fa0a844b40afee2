# pyright: basic
"""The parts of a layer between its matrices: norm, gate, attention; by torch, or by the compiled kernels.

Both compute the same in the same order of steps. Torch's run on any device, in the compute dtype; the
kernels' on a CPU, in float32. Knows no weights, sampling or requests.

Letters: N tokens in the batch, L tokens of one sequence, T positions so far, D hidden, H query heads,
K key/value heads, G = H / K, E head size.
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
        self._cosine, self._sine = cosine.to(cache.dtype), sine.to(cache.dtype)  # (T, E)

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
        kv_heads, size = cache.heads, cache.head_dim
        positions = torch.cat([torch.arange(s.start, s.start + s.length) for s in segments]).to(
            device
        )  # (N,)
        cosine, sine = self._cosine[positions][:, None], self._sine[positions][:, None]  # (N, 1, E)
        masks = [_causal_mask(segment, heads // kv_heads, device) for segment in segments]

        def attend(layer: int, qkv: Tensor) -> Tensor:
            qkv = qkv.view(qkv.shape[0], heads + 2 * kv_heads, size)  # (N, H + 2K, E)
            turned = rotate(qkv[:, : heads + kv_heads], cosine, sine)
            q, k, v = turned[:, :heads], turned[:, heads:], qkv[:, heads + kv_heads :]
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
                parts.append(_attend_segment(q[begin:end], keys, values, mask))
                begin = end
            return parts[0] if len(parts) == 1 else torch.cat(parts)

        return attend


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
    """Turn x (N, heads, E) by its position's angles (N, 1, E); halves are paired, as in RoFormer's port."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cosine + turned * sine


def _attend_segment(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Attend with q (L, H, E) to keys and values (K, T, E) -> (L, H E)."""
    length, heads, size = q.shape
    kv_heads = keys.shape[0]
    # Query heads that share a key head become more queries of it: no key is copied.
    queries = q.reshape(length, kv_heads, heads // kv_heads, size).permute(1, 2, 0, 3)  # (K, G, L, E)
    mixed = functional.scaled_dot_product_attention(
        queries.reshape(1, kv_heads, -1, size), keys[None], values[None], attn_mask=mask
    )[0]  # (K, G L, E)
    mixed = mixed.view(kv_heads, heads // kv_heads, length, size).permute(2, 0, 1, 3)
    return mixed.reshape(length, heads * size)


def _causal_mask(segment: Segment, group: int, device: torch.device) -> Tensor | None:
    """(G L, T), true where a query may look; None for a single token, which sees all before it."""
    if segment.length == 1:
        return None
    rows = torch.arange(segment.start, segment.start + segment.length, device=device)
    columns = torch.arange(segment.start + segment.length, device=device)
    return (columns[None, :] <= rows[:, None]).repeat(group, 1)
