"""The safetensors format, read by ourselves before any library maps a file: a header must not lie.

A file is: length of the header (8 bytes, little-endian), the header (JSON), the tensors' bytes without gaps.
Knows no torch; never reads the tensors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from assistant.errors import ModelError, UnsafeModelError
from assistant.models.documents import open_regular, parse_json, read_json_object
from assistant.models.listing import WEIGHTS_SUFFIX, has_pickle_magic

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""
MAX_TENSORS = 200_000
ITEM_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "C64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2,
    "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip
INDEX_NAME = "model.safetensors.index.json"

_SHARD = re.compile(r".*-\d{5}-of-\d{5}\.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """What a header says about one tensor."""

    dtype: str
    shape: tuple[int, ...]


def check_weights(directory: Path, files: list[str]) -> dict[str, Tensor]:
    """Check every safetensors file of a model and the index that ties them together.

    Args:
        directory: The model's.
        files: All that is in it.

    Returns:
        Every tensor of the model, by name.

    Raises:
        UnsafeModelError: A header lies about its file, or the index leads out of the directory.
        ModelError: A shard is missing.
    """
    weights = [path for path in files if path.endswith(WEIGHTS_SUFFIX)]
    if not weights:
        raise ModelError(f"{directory} holds no {WEIGHTS_SUFFIX} file", hint="it is no model")
    headers = {path: read_header(directory / path) for path in weights}
    if INDEX_NAME in files:
        check_index(directory, headers)
    shards = [path for path in weights if _SHARD.fullmatch(path)]
    if shards and INDEX_NAME not in files:
        raise ModelError(
            f"{directory} holds {shards[0]} but no {INDEX_NAME}", hint="fetch the model again, whole"
        )
    return {name: tensor for header in headers.values() for name, tensor in header.items()}


def check_index(directory: Path, headers: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Check that each tensor of an index is where the index says.

    Raises:
        UnsafeModelError: A name leads out of the directory.
        ModelError: A shard, or a tensor of it, is missing.
    """
    path = directory / INDEX_NAME
    weight_map = read_json_object(path).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{path} has no weight_map", hint="fetch the model again")
    for tensor, shard in cast("dict[str, Any]", weight_map).items():
        if not isinstance(shard, str) or "/" in shard or "\\" in shard or ":" in shard or shard == "..":
            raise UnsafeModelError(
                f"{path} looks for {tensor} in {shard!r}, which is no file beside it",
                hint="do not use this model",
            )
        if shard not in headers:
            raise ModelError(f"{path} names {shard}, which is missing", hint="fetch the model again, whole")
        if tensor not in headers[shard]:
            raise ModelError(f"{directory / shard} lacks {tensor}, which {INDEX_NAME} says is in it")


def read_header(path: Path) -> dict[str, Tensor]:
    """Read what a safetensors file says is in it, and hold it against the file's length.

    Raises:
        UnsafeModelError: It lies.
        ModelError: It cannot be read.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 10 or length > min(MAX_HEADER_BYTES, size - 8):
                raise _lie(path, f"its header would have {length} bytes, and the file has {size}")
            content = file.read(length)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    try:
        header = parse_json(content, f"the header of {path}")
    except UnsafeModelError:
        raise
    except ModelError as error:
        raise _lie(path, "its header is not JSON") from error
    if not isinstance(header, dict):
        raise _lie(path, "its header is no JSON object")
    return _check_entries(path, cast("dict[str, Any]", header), size - 8 - length)


def _check_entries(path: Path, header: dict[str, Any], data_bytes: int) -> dict[str, Tensor]:
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    notes = header.get("__metadata__", {})
    if not isinstance(notes, dict) or not all(
        isinstance(v, str) for v in cast("dict[str, Any]", notes).values()
    ):
        raise _lie(path, "its __metadata__ is more than text")
    if len(entries) > MAX_TENSORS:
        raise _lie(path, f"its header names {len(entries)} tensors")
    tensors: dict[str, Tensor] = {}
    spans: list[tuple[int, int, str]] = []
    for name, entry in entries.items():
        dtype, shape, begin, end = _parse_entry(path, name, entry)
        if math.prod(shape) * ITEM_BYTES[dtype] != end - begin:
            raise _lie(path, f"{name} is {dtype} {list(shape)} and would take {end - begin} bytes")
        tensors[name] = Tensor(dtype=dtype, shape=shape)
        spans.append((begin, end, name))
    reached = 0
    for begin, end, name in sorted(spans):
        if begin != reached:
            raise _lie(path, f"{name} begins at byte {begin}, and the tensor before it ends at {reached}")
        reached = end
    if reached != data_bytes:
        raise _lie(path, f"its tensors take {reached} bytes, and the file holds {data_bytes}")
    return tensors


def _parse_entry(path: Path, name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
    values = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
    dtype = values.get("dtype")
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise _lie(path, f"{name} has the type {str(dtype)[:40]}, which is not known")
    shape = _parse_counts(values.get("shape"))
    offsets = _parse_counts(values.get("data_offsets"))
    if shape is None or offsets is None or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _lie(path, f"{name} has no proper shape and place")
    return dtype, shape, offsets[0], offsets[1]


def _parse_counts(value: Any) -> tuple[int, ...] | None:
    if not isinstance(value, list):
        return None
    counts = cast("list[Any]", value)
    # The product must not become so long that multiplying takes for ever.
    if len(counts) > 16 or not all(type(count) is int and 0 <= count < 2**63 for count in counts):
        return None
    return tuple(counts)


def _lie(path: Path, complaint: str) -> UnsafeModelError:
    if has_pickle_magic(path):
        complaint = "it begins like a pickle or an archive"
    return UnsafeModelError(
        f"{path} is not what a safetensors file must be: {complaint}",
        hint="fetch the model again; if that does not help, do not use it",
    )
