"""The second stage: rows into token ids and labels, by the prompt contract and nothing else.

Writes `train.parquet` and `eval.parquet` with the columns `input_ids`, `labels` and `row` (the line of
`rows.jsonl`, from 0), a report of the rows that are too long, and a record with the numbers. Every row ends
with the end-of-sequence token, and its labels too; a row without a token to learn is left out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from assistant.files import storage_error
from assistant.prompts import Tokenizer, build_training_ids
from finetune.base import Base, hash_tokenizer
from finetune.examples import Example, Reason, Reject
from finetune.lengths import measure_lengths
from finetune.preparing import MAX_DROPPED
from finetune.progress import Report, report_nothing, track
from finetune.rows import EVAL, REJECTS_NAME, ROWS_NAME, TRAIN, read_rows, reject_to_json
from finetune.rows import STAGE as PREPARE
from finetune.rundir import PRIVATE, RunDir, write_json_lines, write_record

STAGE = "tokens"
MAX_TOKENS = 2048
LEAST_LEARNT = 2
"""Code and the end: a row that teaches nothing but to stop is none."""


class OnLong(StrEnum):
    """What becomes of a row that is too long."""

    DROP = "drop"
    TRUNCATE = "truncate"
    """Lines are taken off the end of its input. Code is never cut: it would teach to stop in the middle."""
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizeOptions:
    """How rows become tokens."""

    prompt_format: str = "python-task"
    max_tokens: int = 0
    """Prompt, code and end together; 0 for 2048, or the model's context where that is less."""
    on_long: OnLong = OnLong.DROP
    max_dropped: float = MAX_DROPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRow:
    """One row as it is trained on."""

    input_ids: list[int]
    labels: list[int]
    """Of the same length; `NO_LABEL` for what is not learnt."""
    row: int
    """Its line in `rows.jsonl`, from 0."""


def run_tokenize(
    run: RunDir,
    base: Base,
    tokenizer: Tokenizer,
    options: TokenizeOptions,
    report: Report = report_nothing,
) -> dict[str, Any]:
    """Tokenize a run's rows and return the stage's record.

    The caller holds the run's lock.

    Raises:
        UsageError: There are no rows, or too many are too long.
        StorageError: It cannot be written.
    """
    rows = read_rows(run)
    limit = find_limit(base, options.max_tokens)
    found, rejects, shortened = tokenize_rows(
        [example for example, _ in rows], tokenizer, options, limit, report
    )
    _check_dropped(rejects, len(rows), limit, options)
    sides = {side: [one for one in found if rows[one.row][1] == side] for side in (TRAIN, EVAL)}
    if not sides[TRAIN]:
        raise UsageError(
            f"all {len(rows)} rows have more than {limit} tokens", hint="--max-tokens allows more"
        )
    with run.open_stage(STAGE) as directory:
        for side, some in sides.items():
            write_tokens(directory / f"{side}.parquet", some)
        write_json_lines(directory / REJECTS_NAME, [reject_to_json(one) for one in rejects])
        numbers = {
            "base": {"name": base.name, "directory": str(base.directory), "revision": base.revision},
            "tokenizer_sha256": hash_tokenizer(base.directory),
            "prompt_format": options.prompt_format,
            "max_tokens": limit,
            "on_long": options.on_long.value,
            "rows_sha256": run.read_record(PREPARE)["rows_sha256"],
            TRAIN: len(sides[TRAIN]),
            EVAL: len(sides[EVAL]),
            "too_long": sum(one.reason is Reason.TOO_LONG for one in rejects),
            "shortened": shortened,
            "lengths": measure_lengths(found),
        }
        write_record(directory, STAGE, numbers)
    return run.read_record(STAGE)


def tokenize_rows(
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    options: TokenizeOptions,
    limit: int,
    report: Report = report_nothing,
) -> tuple[list[TokenRow], list[Reject], int]:
    """Return the rows that fit, those that do not, and how many of the first were shortened.

    Raises:
        UsageError: A row is too long, and none may be.
    """
    found: list[TokenRow] = []
    rejects: list[Reject] = []
    shortened = 0
    for number, example in enumerate(track(examples, "tokenizing", report)):
        ids, labels = build_ids(tokenizer, options.prompt_format, example)
        if len(ids) > limit:
            detail = f"{len(ids)} tokens, more than {limit}"
            if options.on_long is OnLong.ERROR:
                raise UsageError(f"{example.place}: {detail}", hint="--on-long drop leaves such rows out")
            cut = _shorten(tokenizer, options, example, limit) if options.on_long is OnLong.TRUNCATE else None
            if cut is None:
                rejects.append(_reject(example, Reason.TOO_LONG, detail))
                continue
            ids, labels = cut
            shortened += 1
        if sum(label >= 0 for label in labels) < LEAST_LEARNT:
            rejects.append(_reject(example, Reason.NO_ANSWER, "no token of its code can be learnt"))
            continue
        found.append(TokenRow(input_ids=ids, labels=labels, row=number))
    return found, rejects, shortened


def build_ids(tokenizer: Tokenizer, prompt_format: str, example: Example) -> tuple[list[int], list[int]]:
    """Return an example's ids and labels."""
    return build_training_ids(tokenizer, prompt_format, example.task, example.input, example.code)


def find_limit(base: Base, wanted: int) -> int:
    """Return how many tokens a row may have.

    Raises:
        UsageError: More is wanted than the model can read.
    """
    if wanted and base.context_tokens and wanted > base.context_tokens:
        raise UsageError(
            f"--max-tokens {wanted} is more than {base.name} can read, which is {base.context_tokens}",
            hint=f"--max-tokens {min(MAX_TOKENS, base.context_tokens)}",
        )
    return wanted or min(MAX_TOKENS, base.context_tokens or MAX_TOKENS)


def write_tokens(path: Path, rows: Sequence[TokenRow]) -> None:
    """Write rows as Parquet.

    Raises:
        StorageError: They could not be written.
    """
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    numbers = arrow.list_(arrow.int32())
    table = arrow.table(
        {
            "input_ids": arrow.array([one.input_ids for one in rows], type=numbers),
            "labels": arrow.array([one.labels for one in rows], type=numbers),
            "row": arrow.array([one.row for one in rows], type=arrow.int32()),
        }
    )
    try:
        parquet.write_table(table, path)
        path.chmod(PRIVATE)
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise storage_error(error, path) from error


def read_tokens(run: RunDir, side: str) -> list[TokenRow]:
    """Return the token rows of one side.

    Raises:
        UsageError: There are none, they cannot be read, or the rows were prepared anew since.
    """
    check_current(run)
    path = run.get_stage(STAGE) / f"{side}.parquet"
    arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    try:
        columns: dict[str, list[Any]] = parquet.read_table(path).to_pydict()
    except (arrow.ArrowException, OSError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="build the data again") from error
    together = zip(columns["input_ids"], columns["labels"], columns["row"], strict=True)
    return [TokenRow(input_ids=ids, labels=labels, row=row) for ids, labels, row in together]


def check_current(run: RunDir) -> None:
    """Refuse tokens of rows that have changed since.

    Raises:
        UsageError: They have.
    """
    rows = hashlib.sha256((run.get_stage(PREPARE) / ROWS_NAME).read_bytes()).hexdigest()
    if run.read_record(STAGE)["rows_sha256"] != rows:
        raise UsageError(
            f"the rows of {run.name} have changed since they were tokenized",
            hint=f"`assistant finetune data build DATA --name {run.name} --replace`",
        )


def _shorten(
    tokenizer: Tokenizer, options: TokenizeOptions, example: Example, limit: int
) -> tuple[list[int], list[int]] | None:
    """Take as few lines as possible off the end of the input, or return None where that does not help."""
    lines = example.input.split("\n")
    low, high = 0, len(lines) - 1  # so many lines fit; so many might
    best: tuple[list[int], list[int]] | None = None
    while low <= high:
        middle = (low + high) // 2
        fewer = dataclasses.replace(example, input="\n".join(lines[:middle]))
        ids, labels = build_ids(tokenizer, options.prompt_format, fewer)
        if len(ids) <= limit:
            best, low = (ids, labels), middle + 1
        else:
            high = middle - 1
    return best


def _check_dropped(rejects: Sequence[Reject], total: int, limit: int, options: TokenizeOptions) -> None:
    if len(rejects) > options.max_dropped * total:
        raise UsageError(
            f"{len(rejects)} of {total} rows do not fit in {limit} tokens, more than"
            f" {options.max_dropped:.0%}: {rejects[0].place}: {rejects[0].detail}",
            hint="--max-tokens allows more, --on-long truncate shortens their input, --max-dropped goes on",
        )


def _reject(example: Example, reason: Reason, detail: str) -> Reject:
    return Reject(place=example.place, reason=reason, detail=detail, kind=example.kind)
