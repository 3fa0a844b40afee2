from __future__ import annotations

import pytest

from assistant.errors import OutOfMemoryError, UsageError
from finetune.training.hardware import Hardware, choose_setup
from finetune.training.memory import Shape, check_memory, estimate_memory
from finetune.training.options import build_options

CPU = Hardware(kind="cpu", name="a CPU", memory=16_000_000_000)
T4 = Hardware(kind="cuda", name="a T4", memory=15_000_000_000, capability=(7, 5))
A100 = Hardware(kind="cuda", name="an A100", memory=40_000_000_000, capability=(8, 0))
LLAMA_2_7B = Shape(
    parameters=6_738_415_616,
    quantised=6_476_005_376,
    adapter=159_907_840,  # r 64 on all linear layers
    layers=32,
    hidden=4096,
    inner=11_008,
    vocabulary=32_000,
)


@pytest.mark.parametrize(
    ("hardware", "precision", "optimizer"),
    [
        (CPU, "fp32", "adamw_torch"),
        (T4, "fp16", "paged_adamw_32bit"),
        (A100, "bf16", "paged_adamw_32bit"),
    ],
)
def test_precision_goes_by_capability(hardware: Hardware, precision: str, optimizer: str) -> None:
    setup = choose_setup(build_options(), hardware)
    assert (setup.precision, setup.optimizer) == (precision, optimizer)


def test_a_cpu_keeps_no_weights_in_four_bits() -> None:
    assert not choose_setup(build_options(), CPU).is_packed
    assert choose_setup(build_options(), T4).is_packed
    assert not choose_setup(build_options(sets=["quantization=none"]), A100).is_packed


def test_a_cpu_pages_nothing() -> None:
    setup = choose_setup(build_options("reference"), CPU)
    assert setup.optimizer == "adamw_torch"


@pytest.mark.parametrize(("hardware", "wanted"), [(T4, "bf16"), (CPU, "fp16")])
def test_a_precision_that_the_device_lacks_is_refused(hardware: Hardware, wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        choose_setup(build_options(sets=[f"precision={wanted}"]), hardware)


def estimate(hardware: Hardware, *, checkpointing: bool, micro: int = 1) -> float:
    setup = choose_setup(build_options(), hardware)
    needed = estimate_memory(
        LLAMA_2_7B, setup, tokens=micro * 2048, learnt=micro * 512, checkpointing=checkpointing
    )
    return needed / 1e9


def test_a_7b_model_takes_in_four_bits_what_others_measured() -> None:
    assert 6 < estimate(A100, checkpointing=True) < 10


def test_keeping_activations_and_more_rows_take_more_memory() -> None:
    few = estimate(A100, checkpointing=True)
    assert few < estimate(A100, checkpointing=True, micro=4) < estimate(A100, checkpointing=False, micro=4)
    assert estimate(CPU, checkpointing=True) > 27  # four bytes a weight


def test_what_does_not_fit_is_refused_with_both_numbers() -> None:
    with pytest.raises(OutOfMemoryError, match=r"about 30\.0 GB and a CPU has 16\.0 GB free"):
        check_memory(30_000_000_000, CPU)
