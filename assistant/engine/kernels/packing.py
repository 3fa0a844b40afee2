# pyright: basic
"""Weight matrices as the compiled kernels read them. Knows tensors; no model, no file and no compiler.

A matrix (out, in) is cut into blocks of 16 rows by 32 columns, so that one load brings 16 rows' next four
columns. O = out / 16, rounded up, and B = in / 32. Rows that fill up the last block are zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

GROUP = 32
"""Columns that share a scale."""
TILE = 16
"""Rows that lie side by side."""
INT4_BLOCK = 288
"""Bytes: 256 of codes, two to a byte; 16 scales, in 255ths of the row's; 16 zeros, in 16ths of a code."""
INT8_BLOCK = 512
"""Bytes of codes, with 128 added to each."""
HALF_BLOCK = 256
"""Bytes of halves of such codes."""
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


def head_shape(rows: int, columns: int) -> tuple[int, int, int, int]:
    """Return the shape of the codes that `pack_head` makes of a matrix of this size."""
    return 2, -(-rows // TILE), columns // GROUP, HALF_BLOCK


def pack_int4(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round each 32 columns to 16 steps, about from their lowest value to their highest, 0 between them.

    A value is (code - zero / 16) * scale / 255 * the row's scale.

    Args:
        weight: (out, in), floating point.

    Returns:
        (O, B, 288), uint8, and the rows' scales / 255, (16 O,), float32.
    """
    return _pack(weight, int4_shape(*weight.shape), _pack_rows_int4)


def pack_int8(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round each row to steps of its largest absolute value / 127.

    Args:
        weight: (out, in), floating point.

    Returns:
        (O, B, 512), uint8, and the rows' scales, (16 O,), float32.
    """
    return _pack(weight, int8_shape(*weight.shape), _pack_rows_int8)


def pack_head(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Round as `pack_int8` does, and part the codes into their upper and lower halves.

    Upper halves lie as in int4, so that 16 rows are multiplied at once; lower ones row by row.

    Args:
        weight: (out, in), floating point.

    Returns:
        Upper halves, then lower, (2, O, B, 256), uint8, and the rows' scales, (out,), float32.
    """
    halves = torch.empty(head_shape(*weight.shape), dtype=torch.uint8)
    scales = torch.empty(weight.shape[0], dtype=torch.float32)
    for begin, rows in cut_rows(weight):
        packed, scale = _pack_rows_int8(_fill_up(rows))
        scales[begin : begin + len(rows)] = scale[: len(rows)]
        codes = packed.view(len(packed), -1, 2, 4, TILE, 4)  # (o, B, halves of a group, 4, 16, 4)
        upper, lower = codes >> 4, codes & 15
        lower = (lower[:, :, 0] | lower[:, :, 1] << 4).permute(0, 3, 1, 2, 4)  # (o, 16, B, 4, 4)
        first, end = begin // TILE, begin // TILE + len(packed)
        halves[0, first:end] = (upper[:, :, 0] | upper[:, :, 1] << 4).reshape(halves[0, first:end].shape)
        halves[1, first:end] = lower.reshape(halves[1, first:end].shape)
    return halves, scales


def unpack_int4(packed: Tensor, scales: Tensor) -> Tensor:
    """Return the values (16 O, 32 B), float32, of what `pack_int4` has made."""
    tiles, blocks = packed.shape[:2]
    codes = packed[..., :256].reshape(tiles, blocks, 4, TILE, 4)
    codes = torch.stack([codes & 15, codes >> 4], dim=2)  # (O, B, 2, 4, 16, 4)
    codes = codes.permute(0, 4, 1, 2, 3, 5).reshape(tiles, TILE, blocks, GROUP)
    scale, zero = packed[..., 256:].view(tiles, blocks, 2, TILE, 1).permute(2, 0, 3, 1, 4).float()
    values = (codes - zero / 16) * scale  # (O, 16, B, 32)
    return values.reshape(tiles * TILE, blocks * GROUP) * scales[:, None]


def unpack_int8(packed: Tensor, scales: Tensor) -> Tensor:
    """Return the values (16 O, 32 B), float32, of what `pack_int8` has made."""
    tiles, blocks = packed.shape[:2]
    codes = packed.view(tiles, blocks, 8, TILE, 4).permute(0, 3, 1, 2, 4)
    return (codes.reshape(tiles * TILE, blocks * GROUP).float() - 128) * scales[:, None]


def unpack_head(packed: Tensor, scales: Tensor) -> Tensor:
    """Return the values (out, 32 B), float32, of what `pack_head` has made."""
    _, tiles, blocks, _ = packed.shape
    upper = packed[0].view(tiles, blocks, 4, TILE, 4).permute(0, 3, 1, 2, 4)  # (O, 16, B, 4, 4)
    lower = packed[1].view(tiles, TILE, blocks, 4, 4)
    codes = torch.stack([(upper & 15) << 4 | lower & 15, upper >> 4 << 4 | lower >> 4], dim=3)
    values = codes.reshape(tiles * TILE, blocks * GROUP).float() - 128
    return values[: len(scales)] * scales[:, None]


_PackRows = Callable[[Tensor], tuple[Tensor, Tensor]]
"""(16 o, in), float32 -> (o, B, bytes of a block), uint8, and (16 o,), float32."""


def _pack(weight: Tensor, shape: tuple[int, int, int], pack_rows: _PackRows) -> tuple[Tensor, Tensor]:
    packed = torch.empty(shape, dtype=torch.uint8)
    scales = torch.empty(len(packed) * TILE, dtype=torch.float32)
    for begin, rows in cut_rows(weight):
        first, (part, scale) = begin // TILE, pack_rows(_fill_up(rows))
        packed[first : first + len(part)] = part
        scales[begin : begin + len(scale)] = scale
    return packed, scales


def _fill_up(rows: Tensor) -> Tensor:
    missing = -rows.shape[0] % TILE
    return functional.pad(rows, (0, 0, 0, missing)) if missing else rows


def _pack_rows_int4(rows: Tensor) -> tuple[Tensor, Tensor]:
    tiles, blocks = rows.shape[0] // TILE, rows.shape[1] // GROUP
    groups = rows.view(-1, blocks, GROUP)
    low, high = groups.amin(dim=-1).clamp(max=0), groups.amax(dim=-1).clamp(min=0)  # (16 o, B)
    steps = (high - low) / 15
    row_scale = steps.amax(dim=1).clamp(min=1e-8) / 255  # (16 o,)
    scale = (steps / row_scale[:, None]).ceil_().clamp_(1, 255)  # (16 o, B), up, so that all steps fit in
    step = scale * row_scale[:, None]
    zero = (-16 * low / step).round_().clamp_(0, 255)
    codes = (groups / step[..., None] + zero[..., None] / 16).round_().clamp_(0, 15).to(torch.uint8)
    codes = codes.view(
        tiles, TILE, blocks, 2, 4, 4
    )  # the low half of a byte: columns 0 to 15; the high: the rest
    codes = (codes[:, :, :, 0] | (codes[:, :, :, 1] << 4)).permute(0, 2, 3, 1, 4)  # (o, B, 4, 16, 4)
    numbers = torch.stack([scale, zero], dim=-1).to(torch.uint8)  # (16 o, B, 2)
    numbers = numbers.view(tiles, TILE, blocks, 2).permute(0, 2, 3, 1)  # (o, B, 2, 16)
    parts = [part.reshape(tiles, blocks, -1) for part in (codes, numbers)]
    return torch.cat(parts, dim=-1), row_scale


def _pack_rows_int8(rows: Tensor) -> tuple[Tensor, Tensor]:
    tiles, blocks = rows.shape[0] // TILE, rows.shape[1] // GROUP
    scale = rows.abs().amax(dim=1).clamp(min=1e-8) / 127  # (16 o,)
    codes = (rows / scale[:, None]).round_().clamp_(-127, 127).add_(128).to(torch.uint8)
    codes = codes.view(tiles, TILE, blocks, 8, 4).permute(0, 2, 3, 1, 4)  # (o, B, 8, 16, 4)
    return codes.reshape(tiles, blocks, -1), scale
