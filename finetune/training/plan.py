"""Which rows make up which step, settled before the first: a resumed training finds its place by counting.

The same for any number of processes, so that two of them see what one would. Knows no torch.
"""

from __future__ import annotations

import bisect
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.errors import UsageError
from finetune.training.options import TrainOptions

POOL_STEPS = 16
"""Rows of so many steps are sorted together: enough to save most padding, few enough to stay random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All steps of a training."""

    steps: list[list[list[int]]]
    """Of each step its micro-batches, of each the numbers of its sequences."""
    tokens: list[int]
    """Of each step, padding not counted."""
    epoch_steps: float
    """Steps in which every sequence comes once."""
    eval_steps: int
    """Between two measurements."""

    def batches(self, rank: int, processes: int) -> list[list[int]]:
        """Return the micro-batches of one process, in order."""
        return [one for step in self.steps for one in step[rank::processes]]


def build_plan(lengths: Sequence[int], options: TrainOptions, micro_batch: int) -> Plan:
    """Return the steps for sequences of these lengths, in tokens.

    Raises:
        UsageError: A step takes more sequences than there are.
    """
    batch = options.batch_size
    check_batch(len(lengths), options)
    total = options.max_steps or max(1, math.ceil(len(lengths) * options.epochs / batch))
    chooser = random.Random(options.seed)
    size = POOL_STEPS * batch
    steps: list[list[list[int]]] = []
    carried: list[int] = []
    while len(steps) < total:
        order = chooser.sample(range(len(lengths)), len(lengths))
        # What an epoch has left begins the next, in a step of its own: no row comes twice in a step.
        order = [*carried, *(one for one in order if one not in carried), *carried]
        whole, first = len(order) // batch * batch, batch if carried else 0
        pools = [order[:first], *(order[at : min(at + size, whole)] for at in range(first, whole, size))]
        carried = order[whole:]
        for pool in pools:
            steps += _divide(pool, lengths, options, chooser, micro_batch)
    steps = steps[:total]
    return Plan(
        steps=steps,
        tokens=[sum(lengths[one] for micro in step for one in micro) for step in steps],
        epoch_steps=len(lengths) / batch,
        eval_steps=options.eval_steps or max(1, math.ceil(total / 10)),
    )


def check_batch(count: int, options: TrainOptions) -> None:
    """Refuse a step that takes more sequences than there are.

    Raises:
        UsageError: It does.
    """
    if count < options.batch_size:
        what = "sequences" if options.packing != "none" else "rows"
        raise UsageError(
            f"a step takes {options.batch_size} {what} and there are {count} to train on",
            hint=f"--set batch_size={_power_of_two(max(1, count // 4))}, or more data",
        )


def pack_rows(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Put rows into sequences of at most `limit` tokens: the longest first, each where least room is left."""
    packs: list[list[int]] = []
    room: list[tuple[int, int]] = []  # what is left in a pack, and its number, ascending
    for row in sorted(range(len(lengths)), key=lambda one: -lengths[one]):
        place = bisect.bisect_left(room, (lengths[row], -1))
        if place == len(room):
            packs.append([row])
            left, pack = limit - lengths[row], len(packs) - 1
        else:
            left, pack = room.pop(place)
            packs[pack].append(row)
            left -= lengths[row]
        bisect.insort(room, (left, pack))
    return packs


def find_micro_batch(batch_size: int, processes: int, most: int) -> int:
    """Return the largest number of sequences, at most `most`, that divides a step evenly.

    Raises:
        UsageError: The processes cannot share a step evenly.
    """
    if batch_size % processes:
        raise UsageError(
            f"{processes} processes cannot share steps of {batch_size} rows",
            hint=f"--set batch_size={math.ceil(batch_size / processes) * processes}",
        )
    share = batch_size // processes
    return max(one for one in range(1, share + 1) if share % one == 0 and one <= max(1, most))


def _divide(
    pool: list[int], lengths: Sequence[int], options: TrainOptions, chooser: random.Random, micro_batch: int
) -> list[list[list[int]]]:
    """Return the steps of a pool, each cut into micro-batches of similar length."""
    batch = options.batch_size
    if options.group_by_length:
        pool = sorted(pool, key=lambda one: -lengths[one])
    steps = [pool[first : first + batch] for first in range(0, len(pool), batch)]
    if options.group_by_length:
        chooser.shuffle(steps)
    for step in steps:
        step.sort(key=lambda one: (-lengths[one], one))
    return [[step[at : at + micro_batch] for at in range(0, batch, micro_batch)] for step in steps]


def _power_of_two(number: int) -> int:
    return 1 << number.bit_length() - 1
