"""The first stage: the user's sources into clean rows, divided into those to train on and those held out.

Writes `rows.jsonl`, `rejects.jsonl` and a record with all the numbers. Knows no tokenizer.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from finetune.cleaning.benchmarks import drop_contaminated, fingerprint_examples, read_known_benchmarks
from finetune.cleaning.duplicates import build_clusters, drop_duplicates
from finetune.cleaning.fingerprints import Fingerprint
from finetune.cleaning.python_code import drop_unparsable
from finetune.cleaning.secrets import SecretScanner
from finetune.examples import FAULTS, Example, Reason, Reject
from finetune.gathering import Gathered, gather
from finetune.progress import Report, Step, report_nothing
from finetune.readers import ReadOptions
from finetune.rows import EVAL, REJECTS_NAME, ROWS_NAME, STAGE, TRAIN, reject_to_json, row_to_json
from finetune.rundir import RunDir, write_json_lines, write_record
from finetune.sources import Source
from finetune.splitting import EVAL_SHARE, split_rows

MAX_DROPPED = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """What to make of which data."""

    sources: tuple[Source, ...]
    held_out: tuple[Source, ...] = ()
    """Data to measure with; none is chosen from the sources then."""
    benchmarks: tuple[Source, ...] = ()
    """Further problems that must not be learnt."""
    read: ReadOptions = field(default_factory=ReadOptions)
    eval_share: float = EVAL_SHARE
    """Of the rows, to hold out."""
    seed: int = 42
    decontaminate: bool = True
    keep_unparsable: bool = False
    max_dropped: float = MAX_DROPPED
    """Refuse data of which a larger share is faulty."""


def run_prepare(run: RunDir, options: PrepareOptions, report: Report = report_nothing) -> dict[str, Any]:
    """Prepare a run's rows and return the stage's record.

    The caller holds the run's lock.

    Raises:
        UsageError: The data cannot be read, too much of it is faulty, or nothing is left.
        DownloadError: It cannot be fetched.
        StorageError: It cannot be written.
    """
    with run.open_stage(STAGE) as directory:
        cache_dir = directory / "cache"
        try:
            prepared = prepare_rows(options, cache_dir=cache_dir, report=report)
        finally:
            shutil.rmtree(cache_dir, ignore_errors=True)
        report(Step(stage="writing the rows"))
        rows = [row_to_json(example, split) for example, split in prepared.rows]
        write_json_lines(directory / ROWS_NAME, rows)
        write_json_lines(directory / REJECTS_NAME, [reject_to_json(one) for one in prepared.rejects])
        content = (directory / ROWS_NAME).read_bytes()
        write_record(
            directory,
            STAGE,
            {**prepared.numbers, "rows_sha256": hashlib.sha256(content).hexdigest()},
        )
    return run.read_record(STAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Clean rows and what became of the others."""

    rows: list[tuple[Example, str]]
    """Each with its side: train or eval."""
    rejects: list[Reject]
    numbers: dict[str, Any]


def prepare_rows(options: PrepareOptions, *, cache_dir: Path, report: Report = report_nothing) -> Prepared:
    """Read, clean and divide, without writing anything but downloads into `cache_dir`.

    Raises:
        UsageError: As `run_prepare`.
        DownloadError: As `run_prepare`.
    """
    scanner = SecretScanner()
    gathered = gather(options.sources, options.read, cache_dir=cache_dir, scanner=scanner, report=report)
    check_faults(gathered, options.max_dropped)
    rejects = list(gathered.rejects)
    examples = _clean(gathered.examples, options, rejects, report)
    held: Gathered | None = None
    held_examples: list[Example] = []
    if options.held_out:
        held = gather(options.held_out, options.read, cache_dir=cache_dir, scanner=scanner, report=report)
        check_faults(held, options.max_dropped)
        held_rejects = list(held.rejects)
        held_examples = _clean(held.examples, options, held_rejects, report)
        rejects += held_rejects
    if options.decontaminate:
        known = [*read_known_benchmarks(), *_read_benchmarks(options, cache_dir)]
        examples, contaminated = drop_contaminated(examples, known, report)
        rejects += contaminated
    if held_examples:
        examples, near_held = _drop_near(examples, held_examples, report)
        rejects += near_held
    _check_left(examples, rejects, gathered)
    rows, level = _divide(examples, held_examples, options, report)
    sources = [*gathered.sources, *({**one, "held_out": True} for one in (held.sources if held else []))]
    numbers = _count(rows, rejects, sources, options, level)
    return Prepared(rows=rows, rejects=rejects, numbers=numbers)


def check_faults(gathered: Gathered, max_dropped: float) -> None:
    """Refuse data of which too much is faulty: it was probably misread.

    Raises:
        UsageError: It is.
    """
    faults = [one for one in gathered.rejects if one.reason in FAULTS]
    total = len(gathered.examples) + sum(one.reason in FAULTS | {Reason.SECRET} for one in gathered.rejects)
    if total and len(faults) > max_dropped * total:
        named = "; ".join(f"{one.place}: {one.detail}" for one in faults[:3])
        raise UsageError(
            f"{len(faults)} of {total} rows cannot be used, more than {max_dropped:.0%}: {named}",
            hint="is --map right? --max-dropped 0.5 would go on without up to half of the rows",
        )


def _clean(
    examples: list[Example], options: PrepareOptions, rejects: list[Reject], report: Report
) -> list[Example]:
    if not options.keep_unparsable:
        examples, unparsable = drop_unparsable(examples, report)
        rejects += unparsable
    examples, duplicates = drop_duplicates(examples, report)
    rejects += duplicates
    return examples


def _read_benchmarks(options: PrepareOptions, cache_dir: Path) -> list[Fingerprint]:
    found: list[Fingerprint] = []
    for source in options.benchmarks:
        own = gather([source], options.read, cache_dir=cache_dir, scanner=SecretScanner())
        found += fingerprint_examples(own.examples)
    return found


def _drop_near(
    examples: list[Example], held: list[Example], report: Report
) -> tuple[list[Example], list[Reject]]:
    """Keep the rows that are neither near a held-out row nor ask the same."""
    marks = fingerprint_examples(held)
    examples, asking = drop_contaminated(examples, marks, report)
    clusters = build_clusters([*held, *examples], report)
    taken = set(clusters[: len(held)])
    kept: list[Example] = []
    rejects = [
        dataclasses.replace(one, reason=Reason.HELD_OUT, detail=f"near {one.detail}") for one in asking
    ]
    for example, cluster in zip(examples, clusters[len(held) :], strict=True):
        if cluster in taken:
            detail = f"near {held[cluster].place}"
            rejects.append(
                Reject(place=example.place, reason=Reason.HELD_OUT, detail=detail, kind=example.kind)
            )
        else:
            kept.append(example)
    return kept, rejects


def _check_left(examples: Sequence[Example], rejects: Iterable[Reject], gathered: Gathered) -> None:
    if len(examples) >= 2:
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in _reasons(rejects).items())
    total = sum(source["read"] for source in gathered.sources)
    left = "nothing is" if not examples else "one row is"
    raise UsageError(
        f"{left} left to learn from: of {total} {reasons or 'none had a row'}",
        hint="`assistant finetune data build --help` has the switches that keep more",
    )


def _divide(
    examples: list[Example], held: list[Example], options: PrepareOptions, report: Report
) -> tuple[list[tuple[Example, str]], int | None]:
    if held:
        return [*((one, TRAIN) for one in examples), *((one, EVAL) for one in held)], None
    near = build_clusters(examples, report)
    split = split_rows(examples, near, share=options.eval_share, seed=options.seed)
    if options.eval_share > 0 and not split.held_out:
        raise UsageError(
            f"all {len(examples)} rows are near one another or of one function: none can be held out",
            hint="--eval names other data to measure with; --eval-share 0 trains without measuring",
        )
    sides = [EVAL if number in split.held_out else TRAIN for number in range(len(examples))]
    return list(zip(examples, sides, strict=True)), split.family_level


def _count(
    rows: Sequence[tuple[Example, str]],
    rejects: Sequence[Reject],
    sources: list[dict[str, Any]],
    options: PrepareOptions,
    level: int | None,
) -> dict[str, Any]:
    shown: dict[str, list[str]] = defaultdict(list)
    for one in rejects:
        if len(shown[one.reason.value]) < 3:
            shown[one.reason.value].append(f"{one.place}: {one.detail}" if one.detail else str(one.place))
    return {
        "sources": sources,
        "kept": len(rows),
        TRAIN: sum(side == TRAIN for _, side in rows),
        EVAL: sum(side == EVAL for _, side in rows),
        "rejected": _reasons(rejects),
        "rejected_examples": dict(shown),
        "kinds": dict(Counter(one.kind.value for one, _ in rows)),
        "licenses": dict(Counter(one.license or "unknown" for one, _ in rows)),
        "kept_together": None if level is None else ("file", "function", "row")[min(level, 2)],
        "options": {
            "map": options.read.mapping,
            "split": options.read.split,
            "encoding": options.read.encoding,
            "eval_share": None if options.held_out else options.eval_share,
            "seed": options.seed,
            "decontaminate": options.decontaminate,
            "benchmarks": [source.text for source in options.benchmarks],
            "keep_unparsable": options.keep_unparsable,
        },
    }


def _reasons(rejects: Iterable[Reject]) -> dict[str, int]:
    return dict(Counter(one.reason.value for one in rejects).most_common())
