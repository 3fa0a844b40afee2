from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from assistant.engine.cache import SlotCache
from assistant.engine.kernels import compiling
from assistant.engine.kernels.compiling import (
    CannotCompileError,
    compile_kernels,
    find_kernels,
    find_obstacle,
)
from assistant.engine.kernels.ops import Kernels, check_kernels
from assistant.engine.kernels.packing import (
    pack_head,
    pack_int4,
    pack_int8,
    unpack_head,
    unpack_int4,
    unpack_int8,
)
from assistant.engine.linear import AnyLinear, PackedLinear, PlainLinear
from assistant.engine.llama import LlamaLayer, LlamaNetwork, LlamaShape, LlamaWeights

needs_kernels = pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle() or "can be compiled here")


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    found = find_kernels()
    assert found is not None
    return found


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def relative_error(got: Tensor, wanted: Tensor) -> float:
    return float((got - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("rows", [16, 48, 50])
def test_int4_unpacks_to_within_half_a_step(rows: int) -> None:
    matrix = draw(rows, 96)
    values = unpack_int4(*pack_int4(matrix))[:rows]
    groups = matrix.view(rows, 3, 32)
    step = (groups.amax(-1) - groups.amin(-1)) / 15
    assert ((values - matrix).view(rows, 3, 32).abs().amax(-1) <= 0.6 * step).all()


@pytest.mark.parametrize("rows", [16, 48, 50])
def test_int8_unpacks_to_within_half_a_step(rows: int) -> None:
    matrix = draw(rows, 96)
    values = unpack_int8(*pack_int8(matrix))[:rows]
    assert ((values - matrix).abs() <= 0.51 * matrix.abs().amax(1, keepdim=True) / 127).all()


@pytest.mark.parametrize("rows", [16, 48, 50])
def test_a_head_unpacks_to_what_int8_does(rows: int) -> None:
    matrix = draw(rows, 96)
    assert torch.equal(unpack_head(*pack_head(matrix)), unpack_int8(*pack_int8(matrix))[:rows])


@needs_kernels
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9, 33])
@pytest.mark.parametrize("scale", [0.01, 0.3, 5.0])
def test_logits_of_likely_tokens_are_exact_and_others_near(kernels: Kernels, rows: int, scale: float) -> None:
    packed, scales = pack_head(draw(777, 96))
    x = (127 * draw(rows, 96, seed=1)).round().clamp(-127, 127)
    x[:, ::32] = 127  # so that rounding changes nothing
    x *= scale / 127
    logits, exact = kernels.find_logits(x, packed, scales)[:, :777], x @ unpack_head(packed, scales).T
    upper_alone = torch.stack([packed[0], torch.zeros_like(packed[1])])
    upper = x @ (unpack_head(upper_alone, scales) + 7.5 * scales[:, None]).T
    best = upper.argmax(dim=1, keepdim=True)
    deviation = 4.61 * scales[best] * x.norm(dim=1, keepdim=True)
    below = (upper.gather(1, best) - upper) / torch.full_like(deviation, 10).clamp(
        6 * deviation, 12 * deviation
    )
    noise = 0.001 * deviation
    assert ((logits - exact).abs() < noise)[below < 0.98].all()
    assert ((logits - upper).abs() < noise)[below > 1.02].all()
    assert (below < 0.98).sum() >= rows
    assert (below > 1.02).sum() > 10 * rows
    assert torch.equal(logits.argmax(dim=1), exact.argmax(dim=1))


@needs_kernels
@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 9, 33])
def test_products_are_those_of_the_unpacked_matrix(kernels: Kernels, rows: int) -> None:
    matrix, x = draw(48, 96), draw(rows, 96, seed=1)
    int4, int8 = pack_int4(matrix), pack_int8(matrix)
    assert relative_error(kernels.multiply(x, *int4), x @ unpack_int4(*int4).T) < 0.01
    assert relative_error(kernels.multiply(x, *int8), x @ unpack_int8(*int8).T) < 0.01


@needs_kernels
@pytest.mark.parametrize("at", [0, 31])
def test_products_of_the_largest_codes_do_not_overflow(kernels: Kernels, at: int) -> None:
    matrix, x = torch.full((16, 64), 15.0), torch.full((1, 64), 127.0)
    matrix[:, at::32] = 0.0
    wanted = torch.full((1, 16), 62 * 15 * 127.0)
    assert relative_error(kernels.multiply(x, *pack_int4(matrix)), wanted) < 1e-6
    assert relative_error(kernels.multiply(-x, *pack_int4(matrix)), -wanted) < 1e-6
    for sign in (1, -1):
        packed = pack_int8(sign * torch.full((16, 64), 127.0))
        assert kernels.multiply(x, *packed).eq(sign * 64 * 127 * 127).all()


@needs_kernels
@pytest.mark.parametrize(("begin", "end"), [(0, 1), (3, 7), (5, 13), (2, 19)])
def test_a_row_gives_the_same_bits_alone_and_among_others(kernels: Kernels, begin: int, end: int) -> None:
    matrix, x = draw(48, 96), draw(19, 96, seed=1)
    for packed in (pack_int4(matrix), pack_int8(matrix)):
        some = kernels.multiply(x[begin:end].contiguous(), *packed)
        assert torch.equal(some, kernels.multiply(x, *packed)[begin:end])
    head = pack_head(draw(300, 96))
    some = kernels.find_logits(x[begin:end].contiguous(), *head)
    assert torch.equal(some, kernels.find_logits(x, *head)[begin:end])


@needs_kernels
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_products_that_are_not_finite_stay_so(kernels: Kernels, bad: float) -> None:
    x = draw(2, 64)
    x[1, 40] = bad
    int4, int8, head = pack_int4(draw(16, 64)), pack_int8(draw(16, 64)), pack_head(draw(16, 64))
    products = kernels.multiply(x, *int4), kernels.multiply(x, *int8), kernels.find_logits(x, *head)
    for y in products:
        assert y[0].isfinite().all()
        assert not y[1].isfinite().any()


@needs_kernels
def test_a_step_reads_all_of_a_matrix_and_half_of_the_head(kernels: Kernels) -> None:
    matrix = draw(48, 96)
    int4 = PackedLinear(*pack_int4(matrix), 48, kernels)
    head = PackedLinear(*pack_head(matrix), 48, kernels)
    assert int4.step_bytes == int4.memory_bytes
    assert (head.memory_bytes, head.step_bytes) == (48 * 96 + 48 * 4, 48 * 96 // 2 + 48 * 4)


@needs_kernels
def test_what_does_not_fit_together_is_refused(kernels: Kernels) -> None:
    with pytest.raises(RuntimeError, match="do not fit"):
        kernels.multiply(draw(1, 64), *pack_int4(draw(16, 96)))
    with pytest.raises(RuntimeError, match="do not fit"):
        kernels.find_logits(draw(1, 64), *pack_head(draw(16, 96)))


@dataclass(frozen=True, kw_only=True)
class Model:
    """A small random model of two layers: by the kernels, and by torch from the same rounded weights."""

    kernels: Kernels
    heads: int = 9
    kv_heads: int = 3
    size: int = 64
    slots: int = 3

    def build(self) -> tuple[LlamaNetwork, LlamaNetwork]:
        shape = LlamaShape(
            layers=2, hidden=96, heads=self.heads, kv_heads=self.kv_heads, head_dim=self.size,
            intermediate=160, vocab_size=50, rms_eps=1e-5,
        )  # fmt: skip
        sizes = [
            ((self.heads + 2 * self.kv_heads) * self.size, 96), (96, self.heads * self.size), (320, 96),
            (96, 160),
        ]  # fmt: skip
        ours, torchs = [], []
        for layer in range(2):
            norms = [1 + 0.1 * draw(96, seed=10 * layer + i) for i in (8, 9)]
            matrices = [draw(*size, seed=10 * layer + i) / size[1] ** 0.5 for i, size in enumerate(sizes)]
            rounded = [pack_int8(m) if i % 2 else pack_int4(m) for i, m in enumerate(matrices)]
            packed = [PackedLinear(*r, len(m), self.kernels) for r, m in zip(rounded, matrices, strict=True)]
            plain = [
                PlainLinear(unpack_int8(*r) if i % 2 else unpack_int4(*r)) for i, r in enumerate(rounded)
            ]
            for layers, (qkv, output, gate_up, down) in ((ours, packed), (torchs, plain)):
                layers.append(
                    LlamaLayer(
                        attention_norm=norms[0],
                        mlp_norm=norms[1],
                        qkv=qkv,
                        output=output,
                        gate_up=gate_up,
                        down=down,
                    )
                )
        head = PackedLinear(*pack_head(draw(50, 96, seed=77)), 50, self.kernels)
        plain_head = PlainLinear(unpack_head(head.packed, head.scales))
        return self._network(shape, ours, head, self.kernels), self._network(shape, torchs, plain_head, None)

    def _network(
        self, shape: LlamaShape, layers: list[LlamaLayer], head: AnyLinear, kernels: Kernels | None
    ) -> LlamaNetwork:
        weights = LlamaWeights(
            embedding=draw(50, 96, seed=78), layers=tuple(layers), norm=1 + 0.1 * draw(96, seed=79),
            head=head, rope_scale=1.0,
            rope_inverse_frequencies=1 / 10000 ** (torch.arange(0, self.size, 2) / self.size),
        )  # fmt: skip
        cache = SlotCache(
            layers=2, slots=self.slots, heads=self.kv_heads, tokens=40, head_dim=self.size,
            dtype=torch.bfloat16 if kernels else torch.float32, device=torch.device("cpu"),
        )  # fmt: skip
        return LlamaNetwork(shape, weights, cache, "int4" if kernels else "none", kernels)


IDS = [(7 * i) % 50 for i in range(40)]


@needs_kernels
@pytest.mark.parametrize(
    ("heads", "kv_heads", "size"),
    [(9, 3, 64), (4, 4, 32), (8, 1, 96), (10, 2, 64), (16, 2, 128), (2, 2, 256), (7, 1, 64)],
)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_model_computes_what_it_does_by_torch(
    kernels: Kernels, heads: int, kv_heads: int, size: int, threads: int, set_threads: Callable[[int], None]
) -> None:
    set_threads(threads)
    ours, torchs = Model(kernels=kernels, heads=heads, kv_heads=kv_heads, size=size).build()
    for compute in (
        lambda network: network.prefill(1, 0, IDS[:13]),
        lambda network: network.prefill(2, 0, IDS[20:25]),
        lambda network: network.decode_step([2, 1], [5, 13], [IDS[25:28], IDS[13:14]]),
        lambda network: network.decode_step([1], [12], [IDS[12:18]]),
        lambda network: network.prefill(1, 18, IDS[18:19]),
    ):
        got, wanted = compute(ours), compute(torchs)
        usual = wanted.square().mean().sqrt()
        is_likely = wanted > wanted.amax(-1, keepdim=True) - 0.4 * usual  # others are not computed in full
        assert (got - wanted)[is_likely].square().mean().sqrt() < 0.03 * usual


@needs_kernels
def test_a_token_has_the_same_bits_alone_in_a_batch_and_on_more_threads(
    kernels: Kernels, set_threads: Callable[[int], None]
) -> None:
    set_threads(1)
    alone, beside = Model(kernels=kernels).build()[0], Model(kernels=kernels).build()[0]
    wanted = [alone.decode_step([0], [i], [[token]])[0] for i, token in enumerate(IDS[:21])]
    set_threads(3)
    got = beside.decode_step([1, 0], [0, 0], [IDS[30:37], IDS[:21]])
    assert torch.equal(got[7:], torch.stack(wanted))


@needs_kernels
@pytest.mark.parametrize(("slot", "position"), [(3, 0), (-1, 0), (0, 40), (0, -1)])
def test_a_place_that_is_not_in_the_cache_is_refused(kernels: Kernels, slot: int, position: int) -> None:
    network, _ = Model(kernels=kernels).build()
    with pytest.raises(RuntimeError, match="not in the cache"):
        network.prefill(slot, position, [1])


@needs_kernels
def test_a_model_of_numbers_that_are_not_finite_says_so(kernels: Kernels) -> None:
    network, _ = Model(kernels=kernels).build()
    network._weights.embedding[IDS[1], 5] = float("nan")
    logits = network.decode_step([0, 1], [0, 0], [IDS[:1], IDS[1:2]])
    assert logits[0].isfinite().all()
    assert not logits[1].isfinite().any()


@needs_kernels
def test_a_kernel_that_computes_wrongly_is_named(kernels: Kernels) -> None:
    for name, wrong in (
        ("multiply", replace(kernels, multiply=lambda *args: 1.1 * kernels.multiply(*args))),
        ("find_logits", replace(kernels, find_logits=lambda *args: 1.1 * kernels.find_logits(*args))),
        ("forward", replace(kernels, forward=lambda *args: 1.1 * kernels.forward(*args))),
    ):
        with pytest.raises(ArithmeticError, match=f"{name}.* is off by 0"):
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
