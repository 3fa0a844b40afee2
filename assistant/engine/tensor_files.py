# pyright: basic
"""The tensors of a model's safetensors files, by name. Knows no architecture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from torch import Tensor

from assistant.errors import ModelError

INDEX_NAME = "model.safetensors.index.json"


class TensorFiles:
    """One or several files. Tensors that nobody asks for are never read.

    Raises:
        ModelError: A file is none, or is cut short.
    """

    def __init__(self, directory: Path) -> None:
        self._places: dict[str, Path] = {}
        index = directory / INDEX_NAME
        if index.is_file():
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            shards = sorted(set(weight_map.values()))
        else:
            shards = sorted(path.name for path in directory.glob("*.safetensors"))
        for shard in shards:
            for name in _open(directory / shard).keys():  # noqa: SIM118 - not a dict
                self._places[name] = directory / shard

    def names(self) -> Iterable[str]:
        """Return the names of all tensors."""
        return self._places

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self._places

    def read(self, name: str, expected: Sequence[int]) -> Tensor:
        """Return a tensor: a view of the file, whose pages leave the memory with it.

        Raises:
            ModelError: There is none, or it has another shape.
        """
        place = self._places.get(name)
        if place is None:
            raise ModelError(f"the model's files hold no tensor {name}", hint="pull it again")
        # Each through a handle of its own: one handle's tensors keep all pages that were read through it.
        tensor = cast("Tensor", _open(place).get_tensor(name))
        if tuple(tensor.shape) != tuple(expected):
            raise ModelError(
                f"tensor {name} has shape {tuple(tensor.shape)}, config.json says {tuple(expected)}",
                hint="config.json and the weights do not belong together; pull the model again",
            )
        return tensor


def _open(path: Path) -> Any:
    try:
        return cast("Any", safe_open)(path, framework="pt", device="cpu")
    except (SafetensorError, FileNotFoundError) as error:
        raise ModelError(f"{path} cannot be read: {error}", hint="pull the model again") from error
