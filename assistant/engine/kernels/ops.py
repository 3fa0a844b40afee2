# pyright: basic
"""The compiled kernels as Python calls them, and a check that they compute what they should.

Knows the library's functions; how it came about is in `compiling`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


Multiply = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x (N, in), float32; a matrix of `packing` and its scales) -> (N, 16 O)."""
FindLogits = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(x (N, in), float32; a head of `packing` and its scales) -> (N, 16 O), of which the first out count.

Those of likely tokens are computed in full: with e^-10 of the best one's likelihood, where that is between 6
and 12 standard deviations of what the lower halves of codes add. Others stay without, off by about one.
"""
Forward = Callable[..., Tensor]
"""Compute N tokens of a model with L layers, whatever sequences they are of.

Rounds what matrices are multiplied with to 8 bits, rotates queries and keys by halves, writes keys and values
into the cache, attends to all positions so far.

(embedded (N, D), float32; norms: each layer's before attention and before the rest, and the last, (D,)
each, float32; packed: four matrices of each layer, and the head; their scales; keys and values: L of
(slots, K, T, E) each, bfloat16, written to; cosine and sine (T, E), float32; slots and positions (N,), int64;
wanted (W,), int64: rows; H; the norms' epsilon) -> logits (W, 16 O), as of `FindLogits`.
"""
DrawAt = Callable[[Tensor, float, float], int]
"""(scores (vocab,), float32; temperature; mark, above 0 and at most 1) -> the first token up to which the
likelihoods exp(score / temperature) add up to that share of all of them; -1 where they are no numbers.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """The functions of a library. A row's results do not depend on the rows beside it, bit by bit."""

    multiply: Multiply
    find_logits: FindLogits
    forward: Forward
    draw: DrawAt


@cache
def load_library(path: Path) -> Kernels:
    """Load a library; once for a process.

    Raises:
        OSError: It cannot be loaded.
        ArithmeticError: It computes something else than torch does.
    """
    own: Any = torch.ops.assistant
    if not hasattr(own, "forward"):  # a second library of these names would end the process
        torch.ops.load_library(path)
    kernels = Kernels(
        multiply=own.multiply.default,
        find_logits=own.find_logits.default,
        forward=own.forward.default,
        draw=own.draw.default,
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

    x = draw(3, 64)
    matrices = [draw(rows, 64) / 8 for rows in (128, 64, 128, 64)]
    head = draw(1, 64) / 8 + draw(32, 64) / 80  # tokens are so alike that all of them are likely
    packed = [*map(packing.pack_int4, matrices), packing.pack_head(head)]
    plain = [*(packing.unpack_int4(*one) for one in packed[:-1]), packing.unpack_head(*packed[-1])]
    int8 = packing.pack_int8(matrices[0])
    norms, angles = [draw(64), draw(64), draw(64)], draw(4, 32)
    cosine, sine = angles.cos(), angles.sin()
    keys, values = torch.zeros(1, 1, 4, 32).bfloat16(), torch.zeros(1, 1, 4, 32).bfloat16()
    slots, three = torch.zeros(3, dtype=torch.int64), torch.arange(3)
    logits = kernels.forward(
        x, norms, [one for one, _ in packed], [scales for _, scales in packed], [keys], [values],
        cosine, sine, slots, three, three, 2, 1e-5,
    )  # fmt: skip
    pairs = {
        "multiply, int4,": (kernels.multiply(x, *packed[0]), x @ plain[0].T),
        "multiply, int8,": (kernels.multiply(x, *int8), x @ packing.unpack_int8(*int8).T),
        "find_logits": (kernels.find_logits(x, *packed[-1]), x @ plain[-1].T),
        "forward": (logits, _forward_plainly(x, norms, plain, cosine[:3, None], sine[:3, None])),
    }
    for name, (got, wanted_numbers) in pairs.items():
        error = float((got - wanted_numbers).norm() / wanted_numbers.norm())
        if not error < TOLERANCE:
            raise ArithmeticError(f"{name} is off by {error:.3f}")
    sums = torch.softmax(x[0] / 0.7, dim=0).cumsum(dim=0)
    if any(kernels.draw(x[0], 0.7, float(mark) - 1e-5) != token for token, mark in enumerate(sums)):
        raise ArithmeticError("draw takes other tokens")


def _forward_plainly(
    x: Tensor, norms: Sequence[Tensor], matrices: Sequence[Tensor], cosine: Tensor, sine: Tensor
) -> Tensor:
    """One layer with two query heads of 32 numbers and one key head, from position 0 on."""

    def norm(x: Tensor, weight: Tensor) -> Tensor:
        return functional.rms_norm(x, weight.shape, weight, 1e-5)

    qkv, output, gate_up, down, head = matrices
    x = x + _attend_plainly((norm(x, norms[0]) @ qkv.T).view(3, 4, 32), cosine, sine) @ output.T
    gate, up = (norm(x, norms[1]) @ gate_up.T).chunk(2, dim=-1)
    x = x + (functional.silu(gate) * up) @ down.T
    return norm(x, norms[2]) @ head.T


def _attend_plainly(qkv: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    half = qkv.shape[-1] // 2
    turned = qkv * cosine + torch.cat([-qkv[..., half:], qkv[..., :half]], dim=-1) * sine
    q, k, v = turned[:, :2].transpose(0, 1), turned[:, 2:3].transpose(0, 1), qkv[:, 3:].transpose(0, 1)
    mixed = functional.scaled_dot_product_attention(
        q, k.expand_as(q), v.expand_as(q), is_causal=True
    )  # (2, 3, 32)
    return mixed.transpose(0, 1).reshape(3, 64)
