"""Which device, dtype and quantisation a model runs with. Decides; loads nothing.

Sources of the numbers: bfloat16 is native from compute capability 8.0 on; below it, torch emulates it and
says that it is supported, so the capability is asked and not `torch.cuda.is_bf16_supported`.
"""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from assistant.config import EngineSettings
from assistant.engine.threads import list_options
from assistant.errors import ConfigError, OutOfMemoryError

BF16_CAPABILITY = 8
CPU_ONLY = ("int4", "int8")
MOST_SLOTS = 8
CACHE_SHARE = {"cpu": 0.5, "cuda": 0.8}
"""Of the free memory, how much the cache may take; the rest is for what a step needs, and for others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where and how a model runs."""

    device: torch.device
    dtype: torch.dtype
    """Of activations, of the cache, and of weights that are not quantised."""
    quantization: str
    slots: int
    """0 for as many as there is memory for; see `fit_slots`."""
    prefill_chunk: int
    decode_threads: tuple[int, ...]
    """Numbers to choose from, the usual one first."""
    prefill_threads: int


def choose_placement(settings: EngineSettings, *, usable_cores: int, served_as: str = "") -> Placement:
    """Resolve every `auto` and 0 of the settings on this machine.

    Args:
        settings: The user's.
        usable_cores: Cores that this process may use.
        served_as: What the model's manifest says of its weights on a CPU.

    Raises:
        ConfigError: The settings ask for what this machine or torch build does not have.
    """
    device = _choose_device(settings.device)
    on_cpu = device.type == "cpu"
    quantization = settings.quantization
    if quantization == "auto":
        quantization = (served_as or "int4") if on_cpu else "nf4"
    if not on_cpu and quantization in CPU_ONLY:
        raise ConfigError(
            f"engine.quantization = {quantization} works on a CPU only", hint="use auto, nf4 or none"
        )
    dtype = torch.bfloat16
    if not on_cpu and torch.cuda.get_device_capability(device)[0] < BF16_CAPABILITY:
        dtype = torch.float16
    return Placement(
        device=device,
        dtype=dtype,
        quantization=quantization,
        slots=settings.slots,
        prefill_chunk=settings.prefill_chunk or (64 if on_cpu else 256),
        decode_threads=(settings.threads,) if settings.threads else list_options(usable_cores),
        prefill_threads=max(settings.threads, usable_cores),
    )


def fit_slots(placement: Placement, slot_bytes: int, still_to_come: int = 0) -> int:
    """Return how many slots of the cache there is memory for, the weights being loaded.

    Args:
        placement: With the number of slots that the user asked for, if any.
        slot_bytes: Keys and values of one slot.
        still_to_come: Bytes of weights that are mapped and not yet in memory.

    Raises:
        OutOfMemoryError: There is not even room for one.
    """
    if placement.slots:
        return placement.slots
    free = max(0, _free_bytes(placement.device) - still_to_come)
    room = int(free * CACHE_SHARE[placement.device.type])
    fitting = room // slot_bytes
    if not fitting:
        raise OutOfMemoryError(
            f"one sequence's cache needs {slot_bytes / 2**30:.1f} GiB,"
            f" and {room / 2**30:.1f} GiB are free for it",
            hint="lower engine.context_tokens, or use a smaller model",
        )
    return min(fitting, MOST_SLOTS)


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def _choose_device(wanted: str) -> torch.device:
    has_cuda = torch.cuda.is_available()
    if wanted == "cuda" and not has_cuda:
        build = torch.version.cuda or "none: this is a CPU build of torch"
        raise ConfigError(
            f"engine.device = cuda, but torch finds no GPU (its CUDA: {build})",
            hint="set engine.device to auto, or see `assistant doctor`",
        )
    if wanted == "cuda" or (wanted == "auto" and has_cuda):
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")
