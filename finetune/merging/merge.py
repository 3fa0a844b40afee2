# pyright: basic
"""Base and adapter into a model's weights: tensor by tensor, in the base's own types and files.

Which base is right depends on what follows. What is quantised again takes the original one: of a small update
to weights that are on the nf4 grid already, 1.6 % survived the second rounding (measured). What is used in 16
bits takes what nf4 made of the base, since the adapter was trained on exactly that.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import torch
from torch import Tensor

from assistant.errors import ModelError
from assistant.files import write_atomic
from assistant.models.staging import check_space
from assistant.models.tensors import INDEX_NAME
from finetune.merging.adapter import Adapter, Update, merge_matrix, read_adapter
from finetune.merging.nf4 import Nf4, check_plain, find_quantised, roundtrip
from finetune.merging.tensor_files import (
    DTYPES,
    TensorPlace,
    find_shards,
    open_shard,
    read_places,
    read_tensor,
    stream_bytes,
    tensor_bytes,
)
from finetune.progress import Report, Step, report_nothing

ROOM = 64 * 1024 * 1024
"""For everything beside the weights."""


class Onto(StrEnum):
    """Which base an adapter is merged into."""

    ORIGINAL = "original"
    """Its 16-bit weights: for what is quantised again, by our generator or as GGUF."""
    NF4 = "nf4"
    """What nf4 makes of them: for what is used in 16 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What a merge did."""

    onto: Onto
    matrices: int
    """So many were changed."""
    kind: str
    rank: int
    change: float
    """How much the changed matrices differ from the base's: the norm of all differences over theirs."""
    weight_bytes: int


def merge_adapter(
    base: Path,
    adapter: Path,
    target: Path,
    *,
    onto: Onto = Onto.ORIGINAL,
    nf4: Nf4 | None = None,
    report: Report = report_nothing,
) -> Merged:
    """Write the weights of base and adapter together; a directory that is there gets the files and no others.

    Memory: one matrix in float32, some four times; never a shard.

    Args:
        base: The model that the adapter was trained on.
        adapter: As PEFT saves it.
        target: A directory without weights, on a disk with room for them.
        onto: Which base.
        nf4: How the base was quantised in training; needed for `Onto.NF4`, None if it was not.
        report: Told how far it is.

    Raises:
        ModelError: Base or adapter are damaged, or do not belong together.
        StorageError: The disk is full.
    """
    check_plain(base)
    shards = find_shards(base)
    places = {shard: read_places(base / shard) for shard in shards}
    every = [place for shard in shards for place in places[shard]]
    updates = read_adapter(adapter)
    _check_fit(base, updates, {place.name: place for place in every})
    rounded = find_quantised(base) if onto is Onto.NF4 and nf4 is not None else frozenset[str]()
    total = sum(place.size for place in every)
    check_space(target, total + ROOM, "the merged model")
    work = _Work(updates=updates, rounded=rounded, nf4=nf4, total=total, report=report)
    for shard in shards:
        work.write_shard(target / shard, places[shard])
    if (base / INDEX_NAME).is_file():
        _copy_index(base, target, total)
    return Merged(
        onto=onto,
        matrices=len(updates.updates),
        kind=updates.kind,
        rank=updates.rank,
        change=(work.difference / work.norm) ** 0.5 if work.norm else 0.0,
        weight_bytes=total,
    )


class _Work:
    """One merge on its way."""

    def __init__(
        self, *, updates: Adapter, rounded: frozenset[str], nf4: Nf4 | None, total: int, report: Report
    ) -> None:
        self._updates = updates.updates
        self._rounded = rounded
        self._nf4 = nf4
        self._total = total
        self._report = report
        self._done = 0
        self.difference = 0.0
        """The sum of squares of all that was changed."""
        self.norm = 0.0
        """The sum of squares of the base's matrices that were changed."""

    def write_shard(self, path: Path, places: Sequence[TensorPlace]) -> None:
        """Write one file."""
        with open_shard(path, places) as file:
            for place in places:
                self._report(Step(stage="merging", done=self._done, total=self._total))
                if place.name in self._updates or place.name in self._rounded:
                    file.write(tensor_bytes(self._change(place)))
                else:
                    for piece in stream_bytes(place):
                        file.write(piece)
                self._done += place.size
        self._report(Step(stage="merging", done=self._done, total=self._total))

    def _change(self, place: TensorPlace) -> Tensor:
        weight = read_tensor(place).float()
        update = self._updates.get(place.name)
        if update is not None and update.is_transposed:
            weight = weight.T.contiguous()
        if place.name in self._rounded and self._nf4 is not None:
            weight = roundtrip(weight, self._nf4)
        if update is not None:
            self.norm += float(weight.square().sum())
            before = weight.clone()
            weight = merge_matrix(weight, update)
            self.difference += float(before.sub_(weight).square_().sum())
            if update.is_transposed:
                weight = weight.T
        dtype = DTYPES[place.dtype]
        is_rounded = update is not None and dtype is torch.bfloat16
        stored = round_at_random(weight, place.name) if is_rounded else weight.to(dtype)
        if not bool(stored.isfinite().all()):
            raise ModelError(
                f"{place.name} is not finite after the merge, in {place.dtype}",
                hint="the training went wrong: lower its learning rate",
            )
        return stored


def round_at_random(weight: Tensor, name: str) -> Tensor:
    """Round float32 to bfloat16 up or down by chance, so that the mean is what it was; the same for a name.

    A base's weights are on bfloat16's grid already. Rounded to the nearest, an update of less than half a
    step is lost, everywhere alike: the update itself. By chance, what is lost is noise that averages out.
    """
    chance = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    bits = weight.contiguous().view(torch.int32)
    noise = torch.randint(0, 1 << 16, bits.shape, generator=chance, dtype=torch.int32)
    return noise.add_(bits).bitwise_and_(-(1 << 16)).view(torch.float32).to(torch.bfloat16)


def _check_fit(base: Path, adapter: Adapter, places: Mapping[str, TensorPlace]) -> None:
    for name, update in adapter.updates.items():
        place = places.get(name)
        if place is None:
            raise ModelError(
                f"the adapter changes {name}, which {base} does not have",
                hint="it was trained on another model: name that one with --base",
            )
        if place.shape != _shape(update):
            raise ModelError(
                f"the adapter changes {name} as {list(_shape(update))}, and in {base} it is"
                f" {list(place.shape)}",
                hint="it was trained on another model: name that one with --base",
            )


def _shape(update: Update) -> tuple[int, int]:
    rows, columns = update.up.shape[0], update.down.shape[1]
    return (columns, rows) if update.is_transposed else (rows, columns)


def _copy_index(base: Path, target: Path, total: int) -> None:
    index = json.loads((base / INDEX_NAME).read_text(encoding="utf-8"))
    document = {"metadata": {"total_size": total}, "weight_map": index["weight_map"]}
    write_atomic(target / INDEX_NAME, (json.dumps(document, indent=2, sort_keys=True) + "\n").encode())
