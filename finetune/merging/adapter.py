# pyright: basic
"""A trained adapter, as PEFT saves it: which matrices it changes, and by what.

LoRA (Hu et al., 2021), rsLoRA (Kalajdzievski, 2023: the scale is alpha / sqrt(r)) and DoRA (Liu et al., 2024:
each row's length is a number of its own). Whatever else PEFT can do is refused by name, never ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assistant.errors import ModelError
from assistant.models.documents import read_json_object
from finetune.merging.tensor_files import read_places, read_tensor

CONFIG_NAME, WEIGHTS_NAME = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
NOT_MERGED = (
    "modules_to_save", "trainable_token_indices", "lora_bias", "layer_replication", "target_parameters",
    "use_qalora", "alora_invocation_tokens", "use_bdlora", "arrow_config", "kasa_config", "monteclora_config",
    "velora_config",
)  # fmt: skip
"""What else an adapter may ask for, and cannot be had by adding to a matrix."""
PLAIN_STARTS = (True, False, "gaussian", "eva", "orthogonal", None)
"""`init_lora_weights` that leave the base as it is. The others change it while they start."""
_PART = re.compile(r"(.+)\.(lora_A|lora_B)\.weight|(.+)\.lora_magnitude_vector(?:\.weight)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What is done to one matrix W (out, in)."""

    down: Tensor
    """A, (r, in), float32."""
    up: Tensor
    """B, (out, r), float32."""
    scale: float
    magnitude: Tensor | None = None
    """The length of each row (out,) after the update; None but for DoRA."""
    is_transposed: bool = False
    """Whether the file holds the matrix as (in, out)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """All updates, by the name of the weight in the base's files."""

    updates: Mapping[str, Update]
    rank: int
    kind: str
    """lora, rslora, dora or rsdora."""


def read_adapter(directory: Path) -> Adapter:
    """Read an adapter and look at every number of it.

    Raises:
        ModelError: It is missing, damaged, not finite, or of a kind that cannot be merged.
        UnsafeModelError: A file is not what it says it is.
    """
    for name in (CONFIG_NAME, WEIGHTS_NAME):
        if not (directory / name).is_file():
            raise ModelError(
                f"{directory} has no {name}", hint="it is no adapter that was trained to its end"
            )
    config = read_json_object(directory / CONFIG_NAME)
    _check_config(directory, config)
    parts = _read_parts(directory / WEIGHTS_NAME)
    updates = {
        f"{module}.weight": _build_update(directory, module, found, config) for module, found in parts.items()
    }
    kind = ("rs" if config.get("use_rslora") else "") + ("dora" if config.get("use_dora") else "lora")
    return Adapter(updates=updates, rank=int(config.get("r", 0)), kind=kind)


def _check_config(directory: Path, config: Mapping[str, Any]) -> None:
    place = directory / CONFIG_NAME
    complaint = ""
    if config.get("peft_type") != "LORA":
        complaint = f"peft_type is {config.get('peft_type')!r}"
    elif config.get("bias", "none") != "none":
        complaint = f"bias is {config['bias']!r}"
    elif config.get("init_lora_weights", True) not in PLAIN_STARTS:
        complaint = f"init_lora_weights is {config['init_lora_weights']!r}, which changes the base itself"
    else:
        complaint = next((f"{key} is set" for key in NOT_MERGED if config.get(key)), "")
    if complaint:
        raise ModelError(
            f"{place}: {complaint}, which cannot be merged here",
            hint="LoRA, rsLoRA and DoRA on weight matrices can",
        )


def _read_parts(path: Path) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for place in read_places(path):
        name = place.name.removeprefix(PREFIX)
        found = _PART.fullmatch(name)
        if found is None:
            raise ModelError(f"{path}: {place.name} is no part of LoRA", hint="it cannot be merged here")
        tensor = read_tensor(place).float()
        if not bool(tensor.isfinite().all()):
            raise ModelError(
                f"{path}: {place.name} holds numbers that are not finite",
                hint="the training went wrong: lower its learning rate",
            )
        parts.setdefault(found[1] or found[3], {})[found[2] or "magnitude"] = tensor
    if not parts:
        raise ModelError(f"{path} holds nothing")
    return parts


def _build_update(
    directory: Path, module: str, parts: Mapping[str, Tensor], config: Mapping[str, Any]
) -> Update:
    down, up = parts.get("lora_A"), parts.get("lora_B")
    if down is None or up is None or down.dim() != 2 or up.dim() != 2 or down.shape[0] != up.shape[1]:
        raise ModelError(f"{directory / WEIGHTS_NAME}: {module} has no matching lora_A and lora_B")
    if bool(config.get("use_dora")) != ("magnitude" in parts):
        raise ModelError(f"{directory}: weights and configuration do not say the same of DoRA in {module}")
    rank = down.shape[0]
    alpha = float(_find_value(config.get("alpha_pattern"), module, config.get("lora_alpha", 8)))
    magnitude = parts.get("magnitude")
    return Update(
        down=down,
        up=up,
        scale=alpha / (math.sqrt(rank) if config.get("use_rslora") else rank),
        magnitude=None if magnitude is None else magnitude.reshape(-1),
        is_transposed=bool(config.get("fan_in_fan_out")),
    )


def _find_value(patterns: Any, module: str, default: Any) -> Any:
    """Return the value of the first pattern that fits the end of a module's name, as PEFT looks it up."""
    fitting = (
        value for pattern, value in (patterns or {}).items() if re.match(rf"(.*\.)?({pattern})$", module)
    )
    return next(fitting, default)


def merge_matrix(weight: Tensor, update: Update) -> Tensor:
    """Return a matrix with an update in it.

    Args:
        weight: (out, in), float32; it is changed in place.
        update: On the same shape.
    """
    weight.addmm_(update.up, update.down, alpha=update.scale)  # W + s B A
    if update.magnitude is not None:
        lengths = torch.linalg.vector_norm(weight, dim=1)  # (out,)
        weight.mul_((update.magnitude / lengths)[:, None])
    return weight
