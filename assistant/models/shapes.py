"""Whether a model's configuration and its tensors speak of the same network.

A library that loads one which does not fills the gaps with random numbers, or reads beyond the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from assistant.errors import ModelError
from assistant.models.tensors import Tensor

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.")
_EMBEDDING = re.compile(r"(?:^|\.)(?:embed_tokens|wte|word_embeddings|embed_in)\.weight")
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


def check_shapes(directory: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Hold tensors against `config.json`, as far as that is cheap.

    Raises:
        ModelError: They do not fit.
    """
    inner = config.get("text_config")
    text_config = cast("Mapping[str, Any]", inner) if isinstance(inner, dict) else config
    place = f"{directory / 'config.json'} and the tensors do not fit"
    vocabulary, width = text_config.get("vocab_size"), text_config.get("hidden_size")
    for name, tensor in tensors.items():
        if not _EMBEDDING.search(name) or tensor.dtype not in _FLOATS or len(tensor.shape) != 2:
            continue
        if type(vocabulary) is int and tensor.shape[0] < vocabulary:
            raise ModelError(f"{place}: {name} has {tensor.shape[0]} rows, vocab_size is {vocabulary}")
        if type(width) is int and tensor.shape[1] != width and "embedding_size" not in text_config:
            raise ModelError(f"{place}: {name} has {tensor.shape[1]} columns, hidden_size is {width}")
    _check_layers(place, text_config.get("num_hidden_layers"), tensors)


def _check_layers(place: str, wanted: object, tensors: Mapping[str, Tensor]) -> None:
    layers = {int(found[1]) for name in tensors if (found := _LAYER.search(name))}
    if type(wanted) is not int or not layers:
        return
    missing = set(range(min(wanted, 10_000))) - layers
    if missing:
        raise ModelError(
            f"{place}: layer {min(missing)} of {wanted} is missing", hint="fetch the model again, whole"
        )
