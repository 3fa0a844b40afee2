# pyright: basic
"""A decode step of a fixed shape: what differs from one step to the next is numbers in tensors.

That is what a CUDA graph can repeat. A batch is padded to one of a few shapes: a row for each token, and a
window of the cache that all rows' slots lie in. Knows no weights, no cache and no graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

MOST_ROWS = 32
"""Tokens in a step, guesses with them. Larger steps are rare, and every shape is one more graph."""
LEAST_COLUMNS = 256
"""Positions looked at, at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepShape:
    """All that makes one step's graph differ from another's."""

    rows: int
    """N, with padding."""
    columns: int
    """T: positions of a slot that are read, the rest of its rows' own being masked."""
    first_slot: int
    slots: int
    """S: attention reads the slots from `first_slot` on; 1 where all rows are one sequence's."""
    slot_rows: int
    """R: the most rows that a slot has, with padding; N where S is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticRows:
    """A step's numbers, on the device."""

    shape: StepShape
    ids: Tensor
    """(N,)."""
    slots: Tensor
    """(N,)."""
    positions: Tensor
    """(N,)."""
    cells: Tensor
    """(N,): where each row stands among the S R queries that attention takes."""
    picked: Tensor
    """(S R,): the row in each of those; any row where there is none."""


def plan_step(
    slots: Sequence[int], positions: Sequence[int], ids: Sequence[Sequence[int]], *, cache_slots: int,
    cache_tokens: int,
) -> tuple[StepShape, list[int]] | None:  # fmt: skip
    """Lay a batch out in a fixed shape.

    The last row is repeated as padding: it writes once more what it wrote, so no spare place in the cache is
    needed.

    Args:
        slots: B different slots.
        positions: B positions, of the first token for each.
        ids: B lists of token ids.
        cache_slots: The cache's.
        cache_tokens: Positions in each.

    Returns:
        The shape, and its numbers in the order of `view_rows`; None for more than `MOST_ROWS` rows.
    """
    total = sum(map(len, ids))
    if total > MOST_ROWS:
        return None
    rows = _power_of_two(total)
    ends = [position + len(tokens) for position, tokens in zip(positions, ids, strict=True)]
    alone = len(slots) == 1
    shape = StepShape(
        rows=rows,
        columns=min(cache_tokens, max(LEAST_COLUMNS, _power_of_two(max(ends)))),
        first_slot=slots[0] if alone else 0,
        slots=1 if alone else min(cache_slots, _power_of_two(max(slots) + 1)),
        slot_rows=rows if alone else _power_of_two(max(map(len, ids))),
    )
    table = [
        (token, slot, start + offset, (slot - shape.first_slot) * shape.slot_rows + offset)
        for slot, start, tokens in zip(slots, positions, ids, strict=True)
        for offset, token in enumerate(tokens)
    ]
    picked = [0] * (shape.slots * shape.slot_rows)
    for row, (*_, cell) in enumerate(table):
        picked[cell] = row
    table += [table[-1]] * (rows - total)
    return shape, [number for column in zip(*table, strict=True) for number in column] + picked


def view_rows(shape: StepShape, numbers: Tensor) -> StaticRows:
    """Give the parts of a plan's numbers, (4 N + S R,), their names; each is a view."""
    count = shape.rows
    ids, slots, positions, cells, picked = numbers.split([count] * 4 + [shape.slots * shape.slot_rows])
    return StaticRows(shape=shape, ids=ids, slots=slots, positions=positions, cells=cells, picked=picked)


def _power_of_two(number: int) -> int:
    """Return the least power of two that is not below a positive number."""
    return 1 << (number - 1).bit_length()
