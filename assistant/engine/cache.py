"""Keys and values of every slot, in memory that is set aside once. Knows no model and no request."""

from __future__ import annotations

import torch
from torch import Tensor


class SlotCache:
    """One buffer of keys and one of values for each layer.

    On a CPU the memory is only taken from the system as it is written to.

    Args:
        layers: Attention layers.
        slots: Sequences.
        heads: Key/value heads.
        tokens: Positions in each slot.
        head_dim: Numbers in a key.
        dtype: Of keys and values.
        device: Where they live.
    """

    def __init__(
        self, *, layers: int, slots: int, heads: int, tokens: int, head_dim: int, dtype: torch.dtype,
        device: torch.device,
    ) -> None:  # fmt: skip
        shape = (slots, heads, tokens, head_dim)
        self.slots = slots
        self.tokens = tokens
        self.heads = heads
        self.head_dim = head_dim
        self.dtype = dtype
        self.keys = [torch.empty(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values = [torch.empty(shape, dtype=dtype, device=device) for _ in range(layers)]
        self._ends = [0] * slots

    @property
    def memory_bytes(self) -> int:
        """What is set aside."""
        return sum(buffer.nbytes for buffer in [*self.keys, *self.values])

    @staticmethod
    def slot_bytes(*, layers: int, heads: int, tokens: int, head_dim: int, dtype: torch.dtype) -> int:
        """Return what one slot takes."""
        return 2 * layers * heads * tokens * head_dim * dtype.itemsize

    def extend(self, layer: int, slot: int, start: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write keys and values at `start` and return all from position 0 to their end.

        Args:
            layer: Which layer.
            slot: Whose.
            start: The first position written.
            k: (heads, L, head_dim).
            v: The same shape.

        Returns:
            Keys and values, each (heads, start + L, head_dim), views of the cache.
        """
        end = start + k.shape[1]
        keys, values = self.keys[layer][slot], self.values[layer][slot]  # (heads, tokens, head_dim)
        keys[:, start:end] = k
        values[:, start:end] = v
        return keys[:, :end], values[:, :end]

    def write_rows(self, layer: int, slots: Tensor, positions: Tensor, k: Tensor, v: Tensor) -> None:
        """Write keys and values (N, heads, head_dim), each at its slot and position (N,)."""
        self.keys[layer][slots, :, positions] = k
        self.values[layer][slots, :, positions] = v

    def clear(self) -> None:
        """Zero everything: who reads past a sequence's end, and masks it, must not find a NaN there."""
        for buffer in [*self.keys, *self.values]:
            buffer.zero_()

    def note_end(self, slot: int, end: int) -> None:
        """Take note that a slot is written to before `end`; for `cut`."""
        self._ends[slot] = max(self._ends[slot], end)

    def cut(self, slot: int, end: int) -> None:
        """Zero what an earlier sequence, which may have failed with NaNs, left in a slot from `end` on."""
        for buffer in [*self.keys, *self.values] if self._ends[slot] > end else []:
            buffer[slot, :, end : self._ends[slot]] = 0
        self._ends[slot] = end

    def copy_prefix(self, source: int, target: int, tokens: int) -> None:
        """Copy the first positions of one slot to another."""
        for buffer in [*self.keys, *self.values]:
            buffer[target, :, :tokens] = buffer[source, :, :tokens]
