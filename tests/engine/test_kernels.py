from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from assistant.engine.blocks import KernelBlocks, Segment, TorchBlocks
from assistant.engine.cache import SlotCache
from assistant.engine.kernels import compiling
from assistant.engine.kernels.compiling import (
    CannotCompileError,
    compile_kernels,
    find_kernels,
    find_obstacle,
)
from assistant.engine.kernels.ops import Kernels, check_kernels
from assistant.engine.kernels.packing import pack_int4, pack_int8, unpack_int4, unpack_int8

needs_kernels = pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle() or "can be compiled here")


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    found = find_kernels()
    assert found is not None
    return found


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def relative_error(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("rows", [16, 48, 50])
def test_int4_unpacks_to_within_half_a_step(rows: int) -> None:
    matrix = draw(rows, 96)
    values = unpack_int4(pack_int4(matrix))[:rows]
    groups = matrix.view(rows, 3, 32)
    step = (groups.amax(-1) - groups.amin(-1)) / 15
    assert ((values - matrix).view(rows, 3, 32).abs().amax(-1) <= 0.6 * step).all()


@pytest.mark.parametrize("rows", [16, 48, 50])
def test_int8_unpacks_to_within_half_a_step(rows: int) -> None:
    matrix = draw(rows, 96)
    values = unpack_int8(*pack_int8(matrix))[:rows]
    assert ((values - matrix).abs() <= 0.51 * matrix.abs().amax(1, keepdim=True) / 127).all()


@needs_kernels
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9, 33])
def test_products_are_those_of_the_unpacked_matrix(kernels: Kernels, rows: int) -> None:
    matrix, x = draw(48, 96), draw(rows, 96, seed=1)
    int4, (int8, scale) = pack_int4(matrix), pack_int8(matrix)
    assert relative_error(kernels.multiply_int4(x, int4), x @ unpack_int4(int4).T) < 0.01
    assert relative_error(kernels.multiply_int8(x, int8, scale), x @ unpack_int8(int8, scale).T) < 0.01


@needs_kernels
@pytest.mark.parametrize(("begin", "end"), [(0, 1), (3, 7), (5, 13), (2, 19)])
def test_a_row_gives_the_same_bits_alone_and_among_others(kernels: Kernels, begin: int, end: int) -> None:
    matrix, x = draw(48, 96), draw(19, 96, seed=1)
    int4, (int8, scale) = pack_int4(matrix), pack_int8(matrix)
    some = x[begin:end].contiguous()
    assert torch.equal(kernels.multiply_int4(some, int4), kernels.multiply_int4(x, int4)[begin:end])
    whole = kernels.multiply_int8(x, int8, scale)
    assert torch.equal(kernels.multiply_int8(some, int8, scale), whole[begin:end])


@needs_kernels
def test_numbers_that_are_not_finite_stay_so(kernels: Kernels) -> None:
    int4, (int8, scale) = pack_int4(draw(16, 64)), pack_int8(draw(16, 64))
    for bad in (float("nan"), float("inf")):
        x = draw(2, 64)
        x[1, 40] = bad
        for y in (kernels.multiply_int4(x, int4), kernels.multiply_int8(x, int8, scale)):
            assert y[0].isfinite().all()
            assert not y[1].isfinite().any()
        assert not kernels.normalize(x, torch.ones(64), 1e-5)[1].isfinite().all()
    x[1] = float("nan")
    assert not kernels.gate(x)[1].isfinite().any()


@needs_kernels
def test_what_does_not_fit_together_is_refused(kernels: Kernels) -> None:
    with pytest.raises(RuntimeError, match="do not fit"):
        kernels.multiply_int4(draw(1, 64), pack_int4(draw(16, 96)))


@needs_kernels
@pytest.mark.parametrize(
    ("heads", "kv_heads", "size"), [(9, 3, 64), (4, 4, 32), (8, 1, 96), (16, 2, 128), (2, 2, 256)]
)
def test_attention_is_that_of_torch(kernels: Kernels, heads: int, kv_heads: int, size: int) -> None:
    angles = draw(40, size)
    shape = {"layers": 1, "slots": 3, "heads": kv_heads, "tokens": 40, "head_dim": size}
    caches = [SlotCache(**shape, dtype=torch.bfloat16, device=torch.device("cpu")) for _ in range(2)]
    ours = KernelBlocks(caches[0], angles.cos(), angles.sin(), heads, 1e-5, kernels)
    torchs = TorchBlocks(caches[1], angles.cos(), angles.sin(), heads, 1e-5)
    batches = (
        [Segment(slot=1, start=0, length=13)],
        [Segment(slot=1, start=13, length=1), Segment(slot=2, start=0, length=5)],
        [Segment(slot=2, start=5, length=3), Segment(slot=1, start=12, length=6)],
    )
    for number, batch in enumerate(batches):
        qkv = draw(sum(s.length for s in batch), (heads + 2 * kv_heads) * size, seed=number)
        got, wanted = ours.attention(batch)(0, qkv), torchs.attention(batch)(0, qkv.bfloat16()).float()
        assert relative_error(got, wanted) < 0.02


@needs_kernels
def test_attention_of_a_row_does_not_depend_on_the_batch(kernels: Kernels) -> None:
    angles = draw(40, 64)
    shape = {"layers": 1, "slots": 2, "heads": 3, "tokens": 40, "head_dim": 64}
    alone, beside = (SlotCache(**shape, dtype=torch.bfloat16, device=torch.device("cpu")) for _ in range(2))
    qkv, other = draw(21, 15 * 64), draw(7, 15 * 64, seed=1)

    def blocks(cache: SlotCache) -> KernelBlocks:
        return KernelBlocks(cache, angles.cos(), angles.sin(), 9, 1e-5, kernels)

    one = [
        blocks(alone).attention([Segment(slot=0, start=i, length=1)])(0, qkv[i : i + 1]) for i in range(21)
    ]
    batch = [Segment(slot=1, start=0, length=7), Segment(slot=0, start=0, length=21)]
    assert torch.equal(blocks(beside).attention(batch)(0, torch.cat([other, qkv]))[7:], torch.cat(one))


@needs_kernels
def test_a_kernel_that_computes_wrongly_is_named(kernels: Kernels) -> None:
    wrong = replace(kernels, gate=lambda both: 1.1 * kernels.gate(both))
    with pytest.raises(ArithmeticError, match="gate is off by 0"):
        check_kernels(wrong)


@pytest.fixture
def cache_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ASSISTANT_CACHE", str(tmp_path))
    return tmp_path


def test_nothing_is_found_where_nothing_was_compiled(cache_dir: Path) -> None:
    assert find_kernels() is None
    assert list(cache_dir.iterdir()) == []


@needs_kernels
@pytest.mark.parametrize("damage", ["cut", "changed", "no sum", "open to others"])
def test_a_damaged_library_is_not_loaded_and_is_built_again(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    good = Path(compiling.library_path())
    good.parent.mkdir(mode=0o700)
    content = b"as if it were a library"
    good.write_bytes(content)
    compiling._sum_path(good).write_text(compiling._hash(good))
    assert compiling.is_compiled()
    if damage == "cut":
        good.write_bytes(content[:5])
    elif damage == "changed":
        good.write_bytes(content[::-1])
    elif damage == "no sum":
        compiling._sum_path(good).unlink()
    else:
        good.parent.chmod(0o777)
    assert not compiling.is_compiled()
    assert find_kernels() is None
    good.parent.chmod(0o700)
    monkeypatch.setattr(compiling, "_command", lambda target: ["cp", str(compiling.SOURCE), str(target)])
    assert compile_kernels() == good
    assert compiling.is_compiled()


@needs_kernels
def test_what_is_no_library_is_not_used(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "_command", lambda target: ["cp", str(compiling.SOURCE), str(target)])
    compile_kernels()
    code = "from assistant.engine.kernels.compiling import *; print(is_compiled(), find_kernels())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True None\n"
    assert "are not used" in done.stderr


@needs_kernels
def test_a_compiler_that_fails_is_quoted(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        compiling, "_command", lambda _: ["sh", "-c", "echo x.cpp:1: error: no room >&2; exit 1"]
    )
    with pytest.raises(CannotCompileError, match=r"the compiler failed: x.cpp:1: error: no room"):
        compile_kernels()
    assert [path.suffix for path in (cache_dir / "kernels").iterdir()] == []


def test_a_machine_without_a_compiler_is_told_so(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_obstacle():
        pytest.skip(find_obstacle())
    monkeypatch.setattr(compiling.shutil, "which", lambda _: None)
    with pytest.raises(CannotCompileError, match="no C\\+\\+ compiler"):
        compile_kernels()


@pytest.mark.slow
@needs_kernels
@pytest.mark.skipif("avx512_vnni" not in compiling.processor_flags(), reason="this is what runs here anyway")
def test_a_processor_without_avx512_computes_the_same(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = tuple(flag for flag in compiling.FLAGS if flag != "-march=native")
    monkeypatch.setattr(compiling, "FLAGS", (*flags, "-mavx2", "-mfma"))
    path = compile_kernels()
    code = (
        "import sys; from pathlib import Path; from assistant.engine.kernels.ops import load_library;"
        "load_library(Path(sys.argv[1])); print('[1]')"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [1]
