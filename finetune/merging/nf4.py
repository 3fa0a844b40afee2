# pyright: basic
"""What a matrix becomes when it is stored in nf4 and read again. Knows no model's files."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assistant.errors import ModelError
from finetune.empty_network import build_empty, find_linear

BLOCK = 64
# On a CPU it warns of a kernel that only multiplies 4-bit matrices, which nothing here does there.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nf4:
    """How a base was quantised while an adapter was trained on it."""

    double: bool = True
    """Whether the scales are quantised too."""
    dtype: torch.dtype = torch.float32
    """What the matrices were in before, and are in after."""


def roundtrip(weight: Tensor, nf4: Nf4) -> Tensor:
    """Return what nf4 (Dettmers et al., 2023) keeps of a matrix, in its own type."""
    kernels: Any = import_module("bitsandbytes.functional")
    packed, state = kernels.quantize_4bit(
        weight.to(nf4.dtype).contiguous(),
        quant_type="nf4",
        blocksize=BLOCK,
        compress_statistics=nf4.double,
    )
    return kernels.dequantize_4bit(packed, state).to(weight.dtype)


def find_quantised(directory: Path) -> frozenset[str]:
    """Return the names of the weights that 4-bit training quantises.

    Raises:
        ModelError: transformers knows no causal model of this configuration.
    """
    return frozenset(f"{name}.weight" for name in find_linear(build_empty(directory)))


def check_plain(directory: Path) -> None:
    """Refuse a base whose files are quantised already.

    Raises:
        ModelError: They are.
    """
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    method = (config.get("quantization_config") or {}).get("quant_method")
    if method:
        raise ModelError(
            f"the weights in {directory} are quantised ({method}): nothing can be merged into them",
            hint="name the same model in 16 bits with --base",
        )
