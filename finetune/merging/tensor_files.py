# pyright: basic
"""Safetensors files read and written one tensor at a time.

Not mapped into memory: pages of a map count as ours, and a shard has up to ten gigabytes. Knows no model.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from assistant.errors import ModelError
from assistant.files import storage_error
from assistant.models.tensors import INDEX_NAME, ITEM_BYTES, check_weights, read_header

CHUNK_BYTES = 16 * 1024 * 1024
DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
}  # fmt: skip
"""The types that a matrix to merge into may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorPlace:
    """Where a tensor stands."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    """Bytes from the beginning of the file."""

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


def find_shards(directory: Path) -> list[str]:
    """Return the names of the files that hold a model's weights, checked with the index that ties them.

    Raises:
        ModelError: There are none, or one is missing.
        UnsafeModelError: A file is not what it says it is.
    """
    names = sorted(path.name for path in directory.glob("*.safetensors"))
    shards = [name for name in names if name.startswith("model")] or names
    index = directory / INDEX_NAME
    if index.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, AttributeError, TypeError):
            # One that cannot be read is explained by the check below.
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        check_weights(directory, [*names, INDEX_NAME])
    elif shards:
        check_weights(directory, shards)
    if not shards:
        pickles = any(directory.glob("*.bin"))
        raise ModelError(
            f"{directory} holds no safetensors",
            hint="`assistant models pull DIRECTORY --allow-pickle` converts pickles" if pickles else "",
        )
    return shards


def read_places(path: Path) -> list[TensorPlace]:
    """Return where each tensor of a file stands, in the order of their bytes.

    Raises:
        ModelError: The file cannot be read.
        UnsafeModelError: It is not what it says it is.
    """
    checked = read_header(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    places = [
        TensorPlace(
            path=path,
            name=name,
            dtype=tensor.dtype,
            shape=tensor.shape,
            begin=8 + length + header[name]["data_offsets"][0],
        )
        for name, tensor in checked.items()
    ]
    return sorted(places, key=lambda place: (place.begin, place.name))


def read_tensor(place: TensorPlace) -> Tensor:
    """Read one tensor into memory of its own.

    Raises:
        ModelError: It cannot be read, or is of a type that cannot be calculated with.
    """
    dtype = DTYPES.get(place.dtype)
    if dtype is None:
        raise ModelError(
            f"{place.name} in {place.path} is {place.dtype}, which nothing can be merged into",
            hint="take the model in bfloat16, float16 or float32",
        )
    content = bytearray(place.size)
    with _reading(place.path), place.path.open("rb") as file:
        file.seek(place.begin)
        if file.readinto(content) != place.size:
            raise ModelError(f"{place.path} ends within {place.name}", hint="fetch the model again")
    if not content:
        return torch.empty(place.shape, dtype=dtype)
    return torch.frombuffer(content, dtype=dtype).reshape(place.shape)


def stream_bytes(place: TensorPlace) -> Iterator[bytes]:
    """Yield a tensor's bytes as they are.

    Raises:
        ModelError: They cannot be read.
    """
    left = place.size
    with _reading(place.path), place.path.open("rb") as file:
        file.seek(place.begin)
        while left:
            piece = file.read(min(left, CHUNK_BYTES))
            if not piece:
                raise ModelError(f"{place.path} ends within {place.name}", hint="fetch the model again")
            left -= len(piece)
            yield piece


def tensor_bytes(tensor: Tensor) -> memoryview:
    """Return a tensor's bytes without copying them."""
    flat: Any = tensor.contiguous().view(-1).view(torch.uint8).numpy()
    return memoryview(flat)


@contextlib.contextmanager
def open_shard(path: Path, places: Sequence[TensorPlace]) -> Generator[BinaryIO]:
    """Begin a file that will hold the same tensors in the same order; their bytes are then written to it.

    It is on the disk when the block ends well.

    Raises:
        StorageError: It cannot be written.
    """
    try:
        with path.open("xb") as file:
            file.write(build_header({place.name: (place.dtype, place.shape) for place in places}))
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise storage_error(error, path) from error


def build_header(tensors: Mapping[str, tuple[str, Sequence[int]]]) -> bytes:
    """Return the beginning of a file of tensors: for each its type and shape, in the order of their bytes."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    begin = 0
    for name, (dtype, shape) in tensors.items():
        end = begin + math.prod(shape) * ITEM_BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8, as the format's own writer has it
    return len(text).to_bytes(8, "little") + text


@contextlib.contextmanager
def _reading(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
