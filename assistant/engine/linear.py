# pyright: basic
"""Weight matrices in the form they are multiplied in: plain, int8, int4 or nf4.

Knows no model and no file. Every matrix is (out, in); every kind maps x (N, in) to (N, out).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from assistant.engine.kernels import packing
from assistant.engine.kernels.ops import Kernels

INT4_GROUP = 32
"""Columns that share a scale and a zero point."""

PACKED_HEAD = "head"
"""The kind of packed matrix that logits are computed with: int8, of which a step reads about half."""

Linear = Callable[[Tensor], Tensor]
"""x (N, in) -> (N, out)."""


class PlainLinear:
    """A matrix in the compute dtype."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.memory_bytes = weight.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply."""
        return functional.linear(x, self.weight)


class Int8Linear:
    """Symmetric int8 with one scale for each row, on torch's packed CPU kernel."""

    def __init__(self, weight: Tensor) -> None:
        self._packed = torch.empty(weight.shape, dtype=torch.int8)
        self._scale = torch.empty(weight.shape[0], dtype=weight.dtype)
        for begin, rows in packing.cut_rows(weight):
            scale = rows.abs().amax(dim=1).clamp(min=1e-8) / 127  # (rows,)
            end = begin + len(rows)
            self._packed[begin:end] = (rows / scale[:, None]).round_().clamp_(-128, 127)
            self._scale[begin:end] = scale
        self.memory_bytes = self._packed.nbytes + self._scale.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply."""
        return _aten("_weight_int8pack_mm")(x, self._packed, self._scale)


class Int4Linear:
    """Groups of 32 columns with a scale and a zero point, on torch's packed CPU kernel.

    A value is (q - 8) * scale + zero with q from 0 to 15: the kernel's own convention.
    """

    def __init__(self, weight: Tensor) -> None:
        count = weight.shape[1] // INT4_GROUP
        codes = torch.empty(weight.shape, dtype=torch.int32)
        self._scale_zero = torch.empty(count, weight.shape[0], 2, dtype=weight.dtype)
        for begin, rows in packing.cut_rows(weight):
            groups = rows.view(-1, count, INT4_GROUP)
            low, high = groups.amin(dim=-1), groups.amax(dim=-1)  # (rows, groups)
            scale = ((high - low) / 15).clamp(min=1e-8)
            end = begin + len(rows)
            steps = ((groups - low[..., None]) / scale[..., None]).round_().clamp_(0, 15)
            codes[begin:end] = steps.view(rows.shape)
            self._scale_zero[:, begin:end] = torch.stack([scale, low + 8 * scale], dim=-1).transpose(0, 1)
        self._packed = _aten("_convert_weight_to_int4pack_for_cpu")(codes, 1)
        self.memory_bytes = self._packed.nbytes + self._scale_zero.nbytes

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply."""
        return _aten("_weight_int4pack_mm_for_cpu")(x, self._packed, INT4_GROUP, self._scale_zero)


class Nf4Linear:
    """bitsandbytes' 4-bit NormalFloat, as QLoRA defines it (Dettmers et al., 2023)."""

    def __init__(self, weight: Tensor, device: torch.device) -> None:
        import bitsandbytes

        rows, columns = weight.shape
        make: Any = cast("Any", bitsandbytes).nn
        layer = make.Linear4bit(columns, rows, bias=False, compute_dtype=weight.dtype, quant_type="nf4")
        layer.weight = make.Params4bit(
            weight.contiguous().cpu(), requires_grad=False, quant_type="nf4", compress_statistics=True
        )
        self._layer = layer.to(device)
        self.memory_bytes = rows * columns // 2 + rows * columns // 64

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply."""
        return self._layer(x)


class PackedLinear:
    """int4, int8 or a head as our kernels read it: x and result are float32.

    Args:
        packed: See `packing`.
        scales: Of its rows.
        rows: Without those that fill up the last block.
        kernels: What multiplies.
    """

    def __init__(self, packed: Tensor, scales: Tensor, rows: int, kernels: Kernels) -> None:
        self.packed, self.scales, self.rows = packed, scales, rows
        self.memory_bytes = packed.nbytes + scales.nbytes
        is_head = packed.dim() == 4
        self.step_bytes = self.memory_bytes - (packed.nbytes // 2 if is_head else 0)
        """Of its memory, what each step reads."""
        self._multiply = kernels.find_logits if is_head else kernels.multiply

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply."""
        return self._multiply(x, self.packed, self.scales)[:, : self.rows]


AnyLinear = PlainLinear | Int8Linear | Int4Linear | Nf4Linear | PackedLinear


def build_linear(weight: Tensor, quantization: str, device: torch.device) -> AnyLinear:
    """Turn a matrix in the compute dtype into the form named, as torch or bitsandbytes multiplies it.

    Args:
        weight: (out, in), in the compute dtype, on any device.
        quantization: `none`, `int8`, `int4` or `nf4`. int4 falls back to int8 where the columns do not
            divide into groups or the rows into the kernel's blocks of 16.
        device: Where it will be multiplied.
    """
    if quantization == "nf4":
        return Nf4Linear(weight, device)
    if quantization == "int4" and weight.shape[1] % INT4_GROUP == 0 and weight.shape[0] % 16 == 0:
        return Int4Linear(weight)
    if quantization in ("int4", "int8"):
        return Int8Linear(weight)
    return PlainLinear(weight.to(device))


def build_packed_linear(tensors: Sequence[Tensor], rows: int, kernels: Kernels) -> PackedLinear:
    """Wrap a matrix (rows, in) that `pack` has made for our kernels."""
    packed, scales = tensors
    return PackedLinear(packed, scales, rows, kernels)


def pack(weight: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Turn a matrix with packable columns into what our kernels read: `int4`, `int8` or `head`."""
    make = {"int4": packing.pack_int4, "int8": packing.pack_int8, PACKED_HEAD: packing.pack_head}[kind]
    return make(weight)


def packed_forms(rows: int, columns: int, kind: str) -> list[tuple[tuple[int, ...], torch.dtype]]:
    """Return shape and dtype of each tensor that `pack` makes of a matrix of this size."""
    if kind == PACKED_HEAD:
        return [(packing.head_shape(rows, columns), torch.uint8), ((rows,), torch.float32)]
    codes = (packing.int4_shape if kind == "int4" else packing.int8_shape)(rows, columns)
    return [(codes, torch.uint8), ((codes[0] * packing.TILE,), torch.float32)]


def _aten(name: str) -> Callable[..., Tensor]:
    return cast("Callable[..., Tensor]", getattr(torch, name))
