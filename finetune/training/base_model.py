# pyright: basic
"""The model under the adapter, as it is trained on.

On a GPU its matrices are nf4. On a CPU they are put through nf4 once and kept in the precision that is
computed in: the same numbers, and no dequantisation in every step.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from assistant.errors import ModelError
from finetune.merging.nf4 import Nf4, check_plain, find_quantised, roundtrip
from finetune.progress import Report, Step
from finetune.training.hardware import Setup

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def load_base(directory: Path, setup: Setup, report: Report) -> Any:
    """Load a causal model to put an adapter on.

    Args:
        directory: Its files.
        setup: How it is trained.
        report: Told how far it is.

    Raises:
        ModelError: It cannot be loaded.
    """
    library: Any = import_module("transformers")
    options, hardware = setup.options, setup.hardware
    dtype = DTYPES[setup.precision]
    more: dict[str, Any] = {"device_map": {"": hardware.number}} if hardware.kind == "cuda" else {}
    if options.quantization == "nf4":
        check_plain(directory)
    if setup.is_packed:
        more["quantization_config"] = library.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=options.double_quant,
            bnb_4bit_compute_dtype=dtype,
        )
    report(Step(stage="loading the base model"))
    try:
        model = library.AutoModelForCausalLM.from_pretrained(
            directory,
            dtype=dtype,
            attn_implementation=options.attention,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            **more,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise ModelError(f"{directory} cannot be loaded: {str(error).splitlines()[0]}") from error
    if options.quantization == "nf4" and not setup.is_packed:
        quantise(model, directory, double=options.double_quant, report=report)
    model.config.use_cache = False
    return model


def quantise(model: Any, directory: Path, *, double: bool, report: Report) -> None:
    """Put the matrices that nf4 stores through it."""
    quantised = find_quantised(directory)
    parameters = {name: one for name, one in model.named_parameters() if name in quantised}
    for done, parameter in enumerate(parameters.values()):
        report(Step(stage="quantising the base model", done=done, total=len(parameters)))
        parameter.data = roundtrip(parameter.data, Nf4(double=double, dtype=parameter.dtype))
