# pyright: basic
"""A step of a Llama by the compiled kernels, with the weights and the cache that it takes each time.

Knows tensors; no model, file or request. Letters: those of `ops.Forward`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from assistant.engine.kernels.ops import Kernels


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelStep:
    """A model's tensors as `Kernels.forward` takes them."""

    kernels: Kernels
    norms: list[Tensor]
    """2 L + 1."""
    packed: list[Tensor]
    """4 L + 1."""
    scales: list[Tensor]
    """Of the packed."""
    keys: list[Tensor]
    values: list[Tensor]
    cosine: Tensor
    sine: Tensor
    heads: int
    eps: float

    def compute(
        self, embedded: Tensor, places: Sequence[tuple[int, int]], wanted: Sequence[int] | None = None
    ) -> Tensor:
        """Compute tokens and write their keys and values into the cache.

        Args:
            embedded: (N, D), float32.
            places: N pairs of slot and position.
            wanted: W rows whose logits are wanted; None for all.

        Returns:
            (W, 16 O), float32.
        """
        slots, positions = torch.tensor(places, dtype=torch.int64).T.contiguous()
        rows = torch.tensor(range(len(places)) if wanted is None else wanted, dtype=torch.int64)
        return self.kernels.forward(
            embedded, self.norms, self.packed, self.scales, self.keys, self.values, self.cosine, self.sine,
            slots, positions, rows, self.heads, self.eps,
        )  # fmt: skip
