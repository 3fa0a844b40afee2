# pyright: basic
"""The compiled kernels as Python calls them, and a check that they compute what they should.

Knows the library's functions; how it came about is in `compiling`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from assistant.engine.kernels import packing

HEAD_SIZES = (32, 64, 96, 128, 256)
"""Of attention; others are left to torch."""
TOLERANCE = 0.02
"""Relative error by norm: rounding rows to 8 bits costs 0.5 %, bfloat16 keys and values 0.4 %."""


Attend = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, int], Tensor]
"""Rotate queries and keys, write keys and values into the cache, attend to all positions so far.

(qkv (N, (H + 2 K) E), float32; cosine and sine (T, E), float32; keys and values (slots, K, T, E), bfloat16,
written to; slots and positions (N,), int64, one for each row; H) -> (N, H E).
"""
MultiplyInt4 = Callable[[Tensor, Tensor], Tensor]
"""(x (N, in), float32; a matrix of `packing.pack_int4`) -> (N, 16 O)."""
MultiplyInt8 = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x (N, in), float32; a matrix of `packing.pack_int8` and its scales) -> (N, 16 O)."""
Normalize = Callable[[Tensor, Tensor, float], Tensor]
"""(x (N, D); weight (D,); epsilon) -> x at root mean square 1, times the weight; float32."""
Gate = Callable[[Tensor], Tensor]
"""(N, 2 I), gate and up -> SiLU(gate) * up, (N, I); float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """The functions of a library. A row's results do not depend on the rows beside it, bit by bit."""

    multiply_int4: MultiplyInt4
    multiply_int8: MultiplyInt8
    normalize: Normalize
    gate: Gate
    attend: Attend


@cache
def load_library(path: Path) -> Kernels:
    """Load a library; once for a process.

    Raises:
        OSError: It cannot be loaded.
        ArithmeticError: It computes something else than torch does.
    """
    own: Any = torch.ops.assistant
    if not hasattr(own, "multiply_int4"):  # a second library of these names would end the process
        torch.ops.load_library(path)
    kernels = Kernels(
        multiply_int4=own.multiply_int4.default,
        multiply_int8=own.multiply_int8.default,
        normalize=own.normalize.default,
        gate=own.gate.default,
        attend=own.attend.default,
    )
    check_kernels(kernels)
    return kernels


@torch.inference_mode()
def check_kernels(kernels: Kernels) -> None:
    """Compare each kernel with torch on a few numbers.

    Raises:
        ArithmeticError: One is wrong; it is named.
    """
    chance = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance)

    x, matrix, weight = draw(3, 64), draw(32, 64), draw(64)
    packed, (packed8, scale) = packing.pack_int4(matrix), packing.pack_int8(matrix)
    qkv, angle = draw(3, 4 * 32), draw(4, 32)
    cosine, sine = angle.cos(), angle.sin()
    keys, values = torch.zeros(1, 1, 4, 32).bfloat16(), torch.zeros(1, 1, 4, 32).bfloat16()
    slots, positions = torch.zeros(3, dtype=torch.int64), torch.arange(3)
    mixed = kernels.attend(qkv, cosine, sine, keys, values, slots, positions, 2)
    pairs = {
        "multiply_int4": (kernels.multiply_int4(x, packed), x @ packing.unpack_int4(packed).T),
        "multiply_int8": (
            kernels.multiply_int8(x, packed8, scale), x @ packing.unpack_int8(packed8, scale).T,
        ),
        "normalize": (kernels.normalize(x, weight, 1e-5), functional.rms_norm(x, (64,), weight, 1e-5)),
        "gate": (kernels.gate(x), functional.silu(x[:, :32]) * x[:, 32:]),
        "attend": (mixed, _attend_plainly(qkv.view(3, 4, 32), cosine[:3, None], sine[:3, None])),
    }  # fmt: skip
    for name, (got, wanted) in pairs.items():
        error = float((got - wanted).norm() / wanted.norm())
        if not error < TOLERANCE:
            raise ArithmeticError(f"{name} is off by {error:.3f}")


def _attend_plainly(qkv: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    half = qkv.shape[-1] // 2
    turned = qkv * cosine + torch.cat([-qkv[..., half:], qkv[..., :half]], dim=-1) * sine
    q, k, v = turned[:, :2].transpose(0, 1), turned[:, 2:3].transpose(0, 1), qkv[:, 3:].transpose(0, 1)
    mixed = functional.scaled_dot_product_attention(
        q, k.expand_as(q), v.expand_as(q), is_causal=True
    )  # (2, 3, 32)
    return mixed.transpose(0, 1).reshape(3, 64)
