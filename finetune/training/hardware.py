"""What this machine trains on, and in which precision. Loads torch when asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from assistant.commands.room import find_memory
from assistant.errors import UsageError
from finetune.training.options import TrainOptions

BF16_CAPABILITY = (8, 0)
"""Ampere. torch says of older ones too that they have bf16, which they emulate slowly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """A device that can train."""

    kind: str
    """cpu or cuda."""
    name: str
    memory: int
    """Bytes that are free on it."""
    capability: tuple[int, int] = (0, 0)
    """Of a CUDA device."""
    number: int = 0
    """Of several GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a training is done on this machine."""

    options: TrainOptions
    hardware: Hardware
    precision: str
    """fp32, bf16 or fp16."""
    optimizer: str
    """By the name that transformers has for it."""

    @property
    def is_packed(self) -> bool:
        """Whether the base stays in four bits: bitsandbytes computes with them on a GPU."""
        return self.options.quantization == "nf4" and self.hardware.kind == "cuda"


def choose_setup(options: TrainOptions, hardware: Hardware) -> Setup:
    """Return how to train on a device.

    Raises:
        UsageError: What is wanted cannot be had on it.
    """
    return Setup(
        options=options,
        hardware=hardware,
        precision=choose_precision(options, hardware),
        optimizer=choose_optimizer(options, hardware),
    )


def find_hardware(device: str, local_rank: int = 0) -> Hardware:
    """Return the device to train on.

    Args:
        device: auto, cpu or cuda.
        local_rank: Which of several GPUs.

    Raises:
        UsageError: A GPU is wanted and there is none.
    """
    torch: Any = import_module("torch")
    has_gpu = device != "cpu" and torch.cuda.is_available()
    if device == "cuda" and not has_gpu:
        raise UsageError("device is cuda and torch finds no GPU", hint="--set device=auto")
    if not has_gpu:
        return Hardware(kind="cpu", name=f"{os.cpu_count()} CPU cores", memory=find_memory().available)
    number = local_rank % torch.cuda.device_count()
    return Hardware(
        kind="cuda",
        name=torch.cuda.get_device_name(number),
        memory=torch.cuda.mem_get_info(number)[0],
        capability=torch.cuda.get_device_capability(number),
        number=number,
    )


def choose_precision(options: TrainOptions, hardware: Hardware) -> str:
    """Return fp32, bf16 or fp16.

    Raises:
        UsageError: What is wanted cannot be had on this device.
    """
    wanted = options.precision
    if hardware.kind == "cpu":
        if wanted == "fp16":
            raise UsageError("a CPU cannot train in fp16", hint="--set precision=auto")
        return "fp32" if wanted == "auto" else wanted
    has_bf16 = hardware.capability >= BF16_CAPABILITY
    if wanted == "bf16" and not has_bf16:
        raise UsageError(f"{hardware.name} has no bf16", hint="--set precision=auto takes fp16")
    if wanted != "auto":
        return wanted
    return "bf16" if has_bf16 else "fp16"


def choose_optimizer(options: TrainOptions, hardware: Hardware) -> str:
    """Return the optimiser by the name that transformers has for it."""
    if hardware.kind == "cpu" or options.optimizer == "adamw":
        return "adamw_torch"
    return "paged_adamw_8bit" if options.optimizer == "paged_adamw_8bit" else "paged_adamw_32bit"
