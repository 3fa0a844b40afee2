# pyright: basic
"""A run's token rows as what a step takes in. Knows no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from assistant.errors import UsageError
from assistant.prompts.token_ids import NO_LABEL
from finetune.rundir import RunDir
from finetune.tokenizing import TokenRow, read_tokens
from finetune.training.options import TrainOptions
from finetune.training.plan import pack_rows

Rows = list[TokenRow]
"""Rows that share a sequence; one, but for packing."""


def read_training_rows(run: RunDir, side: str, options: TrainOptions) -> list[TokenRow]:
    """Return the rows of one side with the labels that are learnt.

    Raises:
        UsageError: They cannot be read, or one has nothing to learn.
    """
    rows = read_tokens(run, side)
    if options.loss == "full":
        rows = [TokenRow(input_ids=r.input_ids, labels=[NO_LABEL, *r.input_ids[1:]], row=r.row) for r in rows]
    for one in rows:
        if not any(label >= 0 for label in one.labels[1:]):
            raise UsageError(
                f"line {one.row + 1} of the {side} rows of {run.name} has no token that can be learnt",
                hint=f"`assistant finetune data build DATA --name {run.name} --replace`",
            )
    return rows


def check_rows(rows: Sequence[TokenRow], run: RunDir) -> None:
    """Refuse rows that teach nothing but themselves.

    Raises:
        UsageError: There are none, or all are the same.
    """
    if not rows:
        raise UsageError(f"the run {run.name} has no rows to train on", hint="build its data from more")
    if len(rows) > 1 and len({tuple(one.input_ids) for one in rows}) == 1:
        raise UsageError(
            f"all {len(rows)} rows of {run.name} are the same", hint="build its data from others"
        )


def build_sequences(rows: Sequence[TokenRow], options: TrainOptions, limit: int) -> list[Rows]:
    """Return what a step counts: rows one by one, or packed into sequences of at most `limit` tokens."""
    if options.packing == "none":
        return [[one] for one in rows]
    lengths = [len(one.input_ids) for one in rows]
    return [[rows[number] for number in pack] for pack in pack_rows(lengths, max(limit, *lengths))]


def count_tokens(sequence: Rows) -> int:
    """Return the length of a sequence."""
    return sum(len(one.input_ids) for one in sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collator:
    """Puts sequences into tensors.

    There is no attention mask. Padding stands on the right, where a causal model sees it from no token that
    counts; and packed rows are told apart by their positions, which begin anew with each.
    """

    pad_id: int
    packs: bool

    def __call__(self, batch: Sequence[Rows]) -> dict[str, Tensor]:
        """Return input_ids and labels, (batch, length); packed also position_ids, and batch is 1."""
        rows = [row for sequence in batch for row in sequence]
        if not self.packs:
            return {
                "input_ids": pad_right([row.input_ids for row in rows], self.pad_id),
                "labels": pad_right([row.labels for row in rows], NO_LABEL),
            }
        labels = [label for row in rows for label in (NO_LABEL, *row.labels[1:])]
        return {
            "input_ids": torch.tensor([[one for row in rows for one in row.input_ids]]),
            "labels": torch.tensor([labels]),
            "position_ids": torch.tensor([[at for row in rows for at in range(len(row.input_ids))]]),
        }


def pad_right(lists: Sequence[Sequence[int]], value: int) -> Tensor:
    """Return lists of numbers as one tensor, the shorter ones filled up."""
    width = max(map(len, lists))
    return torch.tensor([[*one, *[value] * (width - len(one))] for one in lists])
