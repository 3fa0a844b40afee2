from __future__ import annotations

import pytest
import torch
from torch import Tensor

from assistant.engine.kernels import packing
from assistant.engine.linear import PACKED_HEAD, Int4Linear, Int8Linear, pack, packed_forms


def draw(rows: int, columns: int) -> Tensor:
    return torch.randn((rows, columns), generator=torch.Generator().manual_seed(rows)).bfloat16()


@pytest.mark.parametrize("quantization", ["int4", "int8", PACKED_HEAD])
@pytest.mark.parametrize(("rows", "columns"), [(16, 32), (50, 64), (96, 96), (131, 160)])
def test_a_matrix_packed_in_pieces_is_the_one_packed_at_once(
    quantization: str, rows: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = draw(rows, columns)
    whole = pack(weight, quantization)
    monkeypatch.setattr(packing, "AT_ONCE", 32 * columns)
    pieces = pack(weight, quantization)
    assert all(torch.equal(one, other) for one, other in zip(pieces, whole, strict=True))
    assert [(tuple(tensor.shape), tensor.dtype) for tensor in whole] == packed_forms(
        rows, columns, quantization
    )


@pytest.mark.parametrize("build", [Int4Linear, Int8Linear])
def test_torchs_forms_made_in_pieces_are_those_made_at_once(
    build: type[Int4Linear] | type[Int8Linear], monkeypatch: pytest.MonkeyPatch
) -> None:
    weight, x = draw(112, 64), draw(3, 64)
    whole = build(weight)(x)
    monkeypatch.setattr(packing, "AT_ONCE", 32 * 64)
    assert torch.equal(build(weight)(x), whole)
    assert float((whole - x @ weight.T).norm() / whole.norm()) < 0.15
