# pyright: basic
"""A model's packed matrices in a file beside the models: they are packed once, and not at each start.

The file is mapped, not read: its pages come into memory as they are used. Knows tensors and files; no
architecture and no kernels.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from assistant import paths
from assistant.errors import AssistantError, ModelError
from assistant.files import make_private_dir, sync_dir
from assistant.models.leftovers import packed_dir
from assistant.models.manifest import read_manifest

FORMAT = 3
"""Of the packed matrices; another one for whatever changes what is packed, or how."""
ABANDONED_S = 3600.0
"""Age from which a file that was not finished has nobody left who writes it."""

log = logging.getLogger(__name__)

Form = tuple[tuple[int, ...], torch.dtype]
"""What a tensor must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the packed matrices of a model are kept, in whatever form."""

    directory: Path
    weights: str
    """Differs between models whose files differ."""


def find_place(directory: Path) -> Place | None:
    """Return the place of a model in the store, whether or not anything is there yet; None for any other."""
    if directory.parent.resolve() != paths.models_dir().resolve():
        return None
    try:
        manifest = read_manifest(directory)
    except ModelError:
        return None
    hashes = json.dumps(sorted((path, record.sha256) for path, record in manifest.files.items()))
    return Place(
        directory=packed_dir(directory.parent, directory.name),
        weights=hashlib.sha256(hashes.encode()).hexdigest(),
    )


class StoredMatrices:
    """Gives packed matrices out of the file, and packs and keeps those that are not there.

    Args:
        place: Where the file is; None to keep nothing.
        quantization: What the matrices are packed as; each has a file of its own.
    """

    def __init__(self, place: Place | None, quantization: str) -> None:
        self._path = place and place.directory / f"{quantization}.safetensors"
        self._key = f"{FORMAT} {quantization} {place.weights}" if place else ""
        self._found = read_tensors(self._path, self._key) if self._path else {}
        self._given: dict[str, Tensor] = {}
        self._is_new = False

    @property
    def mapped_bytes(self) -> int:
        """Of what was given, how much is yet to come into memory."""
        return sum(tensor.nbytes for name, tensor in self._given.items() if self._found.get(name) is tensor)

    def take(
        self, name: str, forms: Sequence[Form], pack: Callable[[], Sequence[Tensor]]
    ) -> Sequence[Tensor]:
        """Return the tensors that make up a matrix.

        Args:
            name: The matrix's.
            forms: What its tensors must be, in order.
            pack: Makes them of the original. Called where they are not stored, or are something else.
        """
        names = [f"{name}.{number}" for number in range(len(forms))]
        tensors: Sequence[Tensor] = [self._found[each] for each in names if each in self._found]
        if [(tuple(tensor.shape), tensor.dtype) for tensor in tensors] != list(forms):
            if self._found and not self._is_new:
                log.warning("%s does not hold %s as it must be: it is made again", self._path, name)
            tensors, self._is_new = pack(), True
        self._given.update(zip(names, tensors, strict=True))
        return tensors

    def write(self) -> None:
        """Keep all that was given, if any of it was packed here. If that fails, it will be packed again."""
        if self._path is None or not self._is_new:
            return
        try:
            write_tensors(self._path, self._key, self._given)
        except (OSError, SafetensorError, AssistantError) as error:
            log.warning("the packed weights are not kept, and are made again at the next start: %s", error)


def read_tensors(path: Path, key: str) -> dict[str, Tensor]:
    """Map a file of packed matrices; nothing where there is none, or it is damaged or of other weights.

    Args:
        path: The file.
        key: What it was written with.
    """
    try:
        file = cast("Any", safe_open)(path, framework="pt", device="cpu")
        if (file.metadata() or {}).get("key") != key:
            log.warning("%s is of other weights, or of another version: it is made again", path)
            return {}
        _read_ahead(path)
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError:
        return {}
    except (OSError, SafetensorError, RuntimeError) as error:
        log.warning("%s cannot be read, and is made again: %s", path, error)
        return {}


def write_tensors(path: Path, key: str, tensors: Mapping[str, Tensor]) -> None:
    """Replace a file of packed matrices at once.

    Raises:
        OSError: The disk is full or broken; what was there is still there.
        SafetensorError: The same.
        AssistantError: The directory cannot be made, or is open to others.
    """
    make_private_dir(path.parent.parent)
    make_private_dir(path.parent)
    _drop_unfinished(path.parent)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.touch(mode=0o600, exist_ok=False)
        save_file(dict(tensors), temporary, metadata={"key": key})
        temporary.chmod(0o600)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_dir(path.parent)


def _drop_unfinished(directory: Path) -> None:
    for path in directory.glob("*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink()


def _read_ahead(path: Path) -> None:
    """Have the system read the file while the rest is loaded: page by page, the first answer would wait."""
    if not hasattr(os, "posix_fadvise"):
        return
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
