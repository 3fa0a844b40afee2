"""A run with tokens for a random Llama, as the data stages leave it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from finetune.base import Base, find_base, load_tokenizer
from finetune.examples import Example, Place
from finetune.rows import row_to_json
from finetune.rundir import RunDir, write_json_lines, write_record
from finetune.tokenizing import TokenizeOptions, run_tokenize

NAMES = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")


def make_codes(count: int) -> list[str]:
    """Return short functions, no two the same, of different lengths."""
    return [
        f"def {NAMES[number % len(NAMES)]}_{number}(x):\n"
        + f"    x += {number}\n" * (1 + number % 5)
        + "    return x"
        for number in range(count)
    ]


def make_run(path: Path, base: Path, codes: Sequence[str], *, held_out: int = 0) -> tuple[RunDir, Base]:
    """Make a run whose last rows are held out."""
    run, found = RunDir(path), find_base(str(base))
    sides = ["train"] * (len(codes) - held_out) + ["eval"] * held_out
    rows = [
        row_to_json(Example(task=f"write {number}", code=code, place=Place(file="d", row=number)), side)
        for number, (code, side) in enumerate(zip(codes, sides, strict=True))
    ]
    with run.locked():
        with run.open_stage("prepare") as directory:
            write_json_lines(directory / "rows.jsonl", rows)
            digest = hashlib.sha256((directory / "rows.jsonl").read_bytes()).hexdigest()
            write_record(directory, "prepare", {"rows_sha256": digest})
        run_tokenize(run, found, load_tokenizer(base), TokenizeOptions())
    return run, found
