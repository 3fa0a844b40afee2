"""What the data commands print: a run's numbers for a person and for a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from assistant.commands.terminal import visible_text
from assistant.errors import UsageError
from finetune.base import hash_tokenizer
from finetune.card import CARD_NAME, list_notes
from finetune.lengths import render_histogram
from finetune.rows import REJECTS_NAME
from finetune.rows import STAGE as PREPARE
from finetune.rundir import RunDir, read_json_lines
from finetune.tokenizing import STAGE as TOKENS
from finetune.tokenizing import check_current

SCHEMA = 1


def find_summary(run: RunDir) -> dict[str, Any]:
    """Return a run's numbers.

    Raises:
        UsageError: Its data was not built, or its records are damaged.
    """
    check_current(run)
    return build_summary(run, run.read_record(PREPARE), run.read_record(TOKENS))


def build_summary(run: RunDir, prepared: Mapping[str, Any], tokens: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a program is told of a run's data."""
    return {
        "schema": SCHEMA,
        "run": run.name,
        "directory": str(run.path),
        "card": str(run.path / CARD_NAME),
        "prepare": dict(prepared),
        "tokens": dict(tokens),
        "notes": list_notes(prepared, tokens),
    }


def render_summary(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines for a person."""
    prepared, tokens = summary["prepare"], summary["tokens"]
    lengths = tokens["lengths"]
    for one in prepared["sources"]:
        mark = " (held out)" if one.get("held_out") else ""
        yield visible_text(f"{one['text']}{mark}: {one['read']} read, {one['examples']} usable")
    yield f"rows     {tokens['train']} to train on, {tokens['eval']} held out"
    yield f"kinds    {', '.join(f'{kind} {count}' for kind, count in prepared['kinds'].items())}"
    yield (
        f"tokens   {lengths['tokens']}, {lengths['learnt_tokens']} learnt; a row has {lengths['p50']} "
        f"(median), {lengths['p90']} (90 %), {lengths['p99']} (99 %), {lengths['max']} at most"
    )
    yield from render_histogram(lengths)
    yield f"left out {sum(prepared['rejected'].values()) + tokens['too_long']}"
    for reason, count in prepared["rejected"].items():
        yield visible_text(f"  {count:>6} {reason:<15} {prepared['rejected_examples'][reason][0]}")
    if tokens["too_long"]:
        yield f"  {tokens['too_long']:>6} {'too long':<15} more than {tokens['max_tokens']} tokens"
    for note in summary["notes"]:
        yield f"note: {note}"
    yield f"card     {summary['card']}"
    yield f"next     assistant finetune data preview {summary['run']}"


def read_rejects(run: RunDir) -> list[dict[str, Any]]:
    """Return everything that was left out, by both stages.

    Raises:
        UsageError: The data was not built, or cannot be read.
    """
    return [
        row for stage in (PREPARE, TOKENS) for row in read_json_lines(run.get_stage(stage) / REJECTS_NAME)
    ]


def render_reject(row: Mapping[str, Any]) -> str:
    """Return one line for a person."""
    detail = f": {row['detail']}" if row["detail"] else ""
    return visible_text(f"{row['place']}: {row['reason']}{detail}").replace("\n", " ")


def find_tokenizer_dir(run: RunDir) -> Path:
    """Return the directory of the tokenizer that made a run's tokens.

    Raises:
        UsageError: It is not there any more, or has changed since.
    """
    record = run.read_record(TOKENS)
    directory = Path(record["base"]["directory"])
    if hash_tokenizer(directory) != record["tokenizer_sha256"]:
        raise UsageError(
            f"the tokenizer in {directory} is not the one that {run.name} was tokenized with",
            hint="build the data again",
        )
    return directory
