# pyright: basic
"""How much memory a training takes, estimated before a byte of the model is loaded.

Weights, adapter, gradients and optimiser are counted; activations are estimated from the widths of a layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import OutOfMemoryError, UsageError
from finetune.empty_network import build_empty, find_linear
from finetune.training.hardware import Hardware, Setup
from finetune.training.options import TrainOptions

SHARE = 0.9
"""Of what is free, may be planned with."""
BASE_BYTES = {"cpu": 900_000_000, "cuda": 1_400_000_000}
"""What the libraries take by themselves: measured here on a CPU; the CUDA context, as others report it."""
NF4_BYTES = {True: 0.5 + 0.127 / 8, False: 0.5 + 0.5 / 8}
"""Per weight, scales included (Dettmers et al., 2023, section 3): double quantisation and plain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The sizes of a model that memory depends on."""

    parameters: int
    quantised: int
    """Parameters that nf4 stores."""
    adapter: int
    """Parameters that are trained."""
    layers: int
    hidden: int
    inner: int
    """Width within a layer's MLP."""
    vocabulary: int


def read_shape(directory: Path, options: TrainOptions) -> Shape:
    """Return a model's sizes.

    Raises:
        ModelError: transformers knows no causal model of this configuration.
        UsageError: No layer is called as the targets say.
    """
    model = build_empty(directory)
    linear = {name: module.weight.shape for name, module in find_linear(model).items()}
    ends = tuple(options.targets.split(","))
    adapted = linear if options.targets == "all-linear" else _pick(linear, ends)
    for end in ends:
        if options.targets != "all-linear" and not _pick(linear, (end,)):
            there = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
            raise UsageError(f"targets: no layer is called {end}", hint=f"there are {there}")
    text = model.config.get_text_config()
    return Shape(
        parameters=sum(one.numel() for one in model.parameters()),
        quantised=sum(shape.numel() for shape in linear.values()),
        adapter=sum(options.r * sum(shape) + (shape[0] if options.dora else 0) for shape in adapted.values()),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        inner=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        vocabulary=text.vocab_size,
    )


def estimate_memory(shape: Shape, setup: Setup, *, tokens: int, learnt: int, checkpointing: bool) -> int:
    """Return the bytes at the peak.

    Args:
        shape: Of the model.
        setup: How it is trained.
        tokens: Of the largest micro-batch, padding included.
        learnt: Of these, with a label.
        checkpointing: Whether activations are computed twice.
    """
    options, kind = setup.options, setup.hardware.kind
    width = 4 if setup.precision == "fp32" else 2
    matrix_width = NF4_BYTES[options.double_quant] if setup.is_packed else width
    weights = shape.quantised * matrix_width + (shape.parameters - shape.quantised) * width
    moments = 2 if setup.optimizer.endswith("8bit") else 8
    adapter = shape.adapter * (4 + 4 + moments)  # itself, its gradient, what the optimiser remembers
    layer = tokens * (18 * shape.hidden + 7 * shape.inner) * width
    kept = shape.layers * tokens * shape.hidden * width + layer if checkpointing else shape.layers * layer
    logits = learnt * shape.vocabulary * 4 * 3  # themselves, their softmax, their gradient
    return round(weights + adapter + kept + logits) + BASE_BYTES[kind]


def check_memory(needed: int, hardware: Hardware) -> None:
    """Refuse a training that will not fit.

    Raises:
        OutOfMemoryError: It needs more than is free.
    """
    if needed > hardware.memory * SHARE:
        raise OutOfMemoryError(
            f"training needs about {needed / 1e9:.1f} GB and {hardware.name} has"
            f" {hardware.memory / 1e9:.1f} GB free",
            hint="--set gradient_checkpointing=on, --set micro_batch=1, a smaller r, or shorter rows",
        )


def _pick(linear: dict[str, Any], ends: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: shape
        for name, shape in linear.items()
        if any(name == end or name.endswith(f".{end}") for end in ends)
    }
