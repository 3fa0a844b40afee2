"""All of a user's sources into examples, secrets left out before anything else sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.cleaning.secrets import SecretScanner
from finetune.examples import Example, Reason, Reject
from finetune.mining import mine_examples
from finetune.progress import Report, report_nothing, track
from finetune.readers import ReadOptions, read_examples
from finetune.sources import CodeSource, FileSource, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What the sources hold."""

    examples: list[Example]
    rejects: list[Reject]
    sources: list[dict[str, Any]]
    """For each source what it is, how much came of it, and a sha256: of the file, else of what was read."""


def gather(
    sources: Sequence[Source],
    options: ReadOptions,
    *,
    cache_dir: Path,
    scanner: SecretScanner,
    report: Report = report_nothing,
) -> Gathered:
    """Read every source and leave out what holds a secret.

    Raises:
        UsageError: A source cannot be read.
        DownloadError: One cannot be fetched.
    """
    gathered = Gathered(examples=[], rejects=[], sources=[])
    for source in sources:
        found = list(_read(source, options, cache_dir, report))
        examples = [one for one in found if isinstance(one, Example)]
        clean, secret = drop_secrets(examples, scanner, report)
        gathered.examples.extend(clean)
        gathered.rejects.extend([*(one for one in found if isinstance(one, Reject)), *secret])
        gathered.sources.append(
            {
                "text": source.text,
                "sha256": _hash(source, examples),
                "read": len(found),
                "examples": len(clean),
            }
        )
    return gathered


def drop_secrets(
    examples: Sequence[Example], scanner: SecretScanner, report: Report = report_nothing
) -> tuple[list[Example], list[Reject]]:
    """Keep the examples without a secret. A reject names what kind of secret there was, nothing of it."""
    kept: list[Example] = []
    rejects: list[Reject] = []
    for example in track(examples, "looking for secrets", report):
        hits = scanner.scan(example.text)
        if hits:
            detail = ", ".join(dict.fromkeys(hit.what for hit in hits))
            rejects.append(
                Reject(place=example.place, reason=Reason.SECRET, detail=detail, kind=example.kind)
            )
        else:
            kept.append(example)
    return kept, rejects


def _read(
    source: Source, options: ReadOptions, cache_dir: Path, report: Report
) -> Iterator[Example | Reject]:
    if isinstance(source, CodeSource):
        return mine_examples(source, report)
    return read_examples(source, options, cache_dir=cache_dir, report=report)


def _hash(source: Source, examples: Sequence[Example]) -> str:
    if isinstance(source, FileSource):
        with source.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    for example in examples:
        digest.update(example.text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()
