# pyright: basic
"""Weight matrices as the compiled kernels read them. Knows tensors; no model, no file and no compiler.

A matrix (out, in) is cut into blocks of 16 rows by 32 columns, so that one load brings 16 rows' next four
columns. O = out / 16, rounded up, and B = in / 32. Rows that fill up the last block are zeros.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

GROUP = 32
"""Columns that share a scale."""
TILE = 16
"""Rows that lie side by side."""
INT4_BLOCK = 320
"""Bytes: 256 of codes, two to a byte; 16 scales and 16 lowest values in bfloat16."""
INT8_BLOCK = 576
"""Bytes: 512 of codes; 16 sums of a row's codes times -128, int32."""
AT_ONCE = 2**20
"""Numbers packed at once: in float32, several times over, those of a large matrix would fill the memory."""


def is_packable(columns: int) -> bool:
    """Whether a matrix with so many columns can be packed."""
    return columns % GROUP == 0


def cut_rows(weight: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield a matrix in pieces of 16 n rows, but for the last: each one's first row, and it in float32."""
    step = max(1, AT_ONCE // (TILE * weight.shape[1])) * TILE
    for begin in range(0, weight.shape[0], step):
        yield begin, weight[begin : begin + step].float()


def int4_shape(rows: int, columns: int) -> tuple[int, int, int]:
    """Return the shape of what `pack_int4` makes of a matrix of this size."""
    return -(-rows // TILE), columns // GROUP, INT4_BLOCK


def int8_shape(rows: int, columns: int) -> tuple[int, int, int]:
    """Return the shape of the codes that `pack_int8` makes of a matrix of this size."""
    return -(-rows // TILE), columns // GROUP, INT8_BLOCK


def pack_int4(weight: Tensor) -> Tensor:
    """Round to 16 steps between the lowest and the highest value of each 32 columns.

    A value is lowest + code * scale.

    Args:
        weight: (out, in), floating point.

    Returns:
        (O, B, 320), uint8.
    """
    packed = torch.empty(int4_shape(*weight.shape), dtype=torch.uint8)
    for begin, rows in cut_rows(weight):
        first, part = begin // TILE, _pack_rows_int4(_fill_up(rows))
        packed[first : first + len(part)] = part
    return packed


def pack_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row to steps of its largest absolute value / 127.

    Args:
        weight: (out, in), floating point.

    Returns:
        (O, B, 576), uint8, and the scales (16 O,), float32.
    """
    packed = torch.empty(int8_shape(*weight.shape), dtype=torch.uint8)
    scales = torch.empty(len(packed) * TILE, dtype=torch.float32)
    for begin, rows in cut_rows(weight):
        first, (part, scale) = begin // TILE, _pack_rows_int8(_fill_up(rows))
        packed[first : first + len(part)] = part
        scales[begin : begin + len(scale)] = scale
    return packed, scales


def unpack_int4(packed: Tensor) -> Tensor:
    """Return the values (16 O, 32 B), float32, of what `pack_int4` has made."""
    tiles, blocks = packed.shape[:2]
    codes = packed[..., :256].reshape(tiles, blocks, 4, TILE, 4)
    codes = torch.stack([codes & 15, codes >> 4], dim=2)  # (O, B, 2, 4, 16, 4)
    codes = codes.permute(0, 4, 1, 2, 3, 5).reshape(tiles, TILE, blocks, GROUP)
    scales = packed[..., 256:].contiguous().view(torch.bfloat16).view(tiles, blocks, 2, TILE, 1).float()
    scale, low = scales.permute(2, 0, 3, 1, 4)  # (O, 16, B, 1) each
    return (low + codes * scale).reshape(tiles * TILE, blocks * GROUP)


def unpack_int8(packed: Tensor, scale: Tensor) -> Tensor:
    """Return the values (16 O, 32 B), float32, of what `pack_int8` has made."""
    tiles, blocks = packed.shape[:2]
    codes = packed[..., :512].view(torch.int8).reshape(tiles, blocks, 8, TILE, 4)
    codes = codes.permute(0, 3, 1, 2, 4).reshape(tiles * TILE, blocks * GROUP)
    return codes * scale[:, None]


def _fill_up(rows: Tensor) -> Tensor:
    missing = -rows.shape[0] % TILE
    return functional.pad(rows, (0, 0, 0, missing)) if missing else rows


def _pack_rows_int4(rows: Tensor) -> Tensor:
    tiles, blocks = rows.shape[0] // TILE, rows.shape[1] // GROUP
    groups = rows.view(-1, blocks, GROUP)
    low, high = groups.amin(dim=-1), groups.amax(dim=-1)  # (16 o, B)
    scale = ((high - low) / 15).clamp(min=1e-8)
    codes = ((groups - low[..., None]) / scale[..., None]).round_().clamp_(0, 15).to(torch.uint8)
    codes = codes.view(
        tiles, TILE, blocks, 2, 4, 4
    )  # the low half of a byte: columns 0 to 15; the high: the rest
    codes = (codes[:, :, :, 0] | (codes[:, :, :, 1] << 4)).permute(0, 2, 3, 1, 4)  # (o, B, 4, 16, 4)
    scales = torch.stack([scale, low], dim=-1).bfloat16()  # (16 o, B, 2)
    scales = scales.view(tiles, TILE, blocks, 2).permute(0, 2, 3, 1).contiguous()  # (o, B, 2, 16)
    return torch.cat(
        [codes.reshape(tiles, blocks, -1), scales.view(torch.uint8).reshape(tiles, blocks, -1)], dim=-1
    )


def _pack_rows_int8(rows: Tensor) -> tuple[Tensor, Tensor]:
    tiles, blocks = rows.shape[0] // TILE, rows.shape[1] // GROUP
    scale = rows.abs().amax(dim=1).clamp(min=1e-8) / 127  # (16 o,)
    codes = (rows / scale[:, None]).round_().clamp_(-127, 127).to(torch.int8)
    codes = codes.view(tiles, TILE, blocks, 8, 4)
    sums = -128 * codes.sum(dim=(-1, -2), dtype=torch.int32).permute(0, 2, 1).contiguous()  # (o, B, 16)
    codes = codes.permute(0, 2, 3, 1, 4).reshape(tiles, blocks, -1)  # (o, B, 8 * 16 * 4)
    return torch.cat([codes.view(torch.uint8), sums.view(torch.uint8)], dim=-1), scale
