"""The data card of a run, in Markdown: what the data is, what was left out and why. Shows no row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from finetune.lengths import render_histogram

CARD_NAME = "data-card.md"
FEW_ROWS = 500
"""Fewer pairs than this seldom change a model for the better."""


def render_card(name: str, prepared: Mapping[str, Any], tokens: Mapping[str, Any]) -> str:
    """Return the card of a run."""
    parts = [
        f"# Data of the run {name}",
        f"Prepared {prepared['created']}, tokenized {tokens['created']}. The rows stay in the run's folder.",
        "## Sources",
        "\n".join(_render_sources(prepared)),
        "## Rows",
        "\n".join(_render_counts(prepared, tokens)),
        "## Left out",
        "\n".join(_render_rejects(prepared)),
        "## Tokens",
        "\n".join(_render_tokens(tokens)),
        "## Read this before you use it",
        "\n".join(f"- {note}" for note in list_notes(prepared, tokens)),
    ]
    return "\n\n".join(parts) + "\n"


def list_notes(prepared: Mapping[str, Any], tokens: Mapping[str, Any]) -> list[str]:
    """Return what a person should know of the data before training on it."""
    notes: list[str] = []
    train = tokens["train"]
    if train < FEW_ROWS:
        notes.append(
            f"{train} rows are few: below some {FEW_ROWS}, showing a model the right file with each question "
            "helps more than training it."
        )
    if not tokens["eval"]:
        notes.append("No row is held out: nothing can be measured, and nothing tells when to stop.")
    kinds = prepared["kinds"]
    mined = sum(count for kind, count in kinds.items() if kind != "instruction")
    if kinds.get("function", 0) and mined > sum(kinds.values()) / 2:
        notes.append(
            "Most rows are pairs of a docstring and its function, the cheap kind: in a published comparison "
            "(Magicoder, table 6) they made a model no better. Compare before and after."
        )
    unknown = prepared["licenses"].get("unknown", 0)
    if unknown:
        notes.append(f"Of {unknown} rows no licence is known.")
    if not prepared["options"]["decontaminate"]:
        notes.append("Benchmark problems were not looked for: HumanEval and MBPP mean nothing afterwards.")
    else:
        notes.append(
            "Benchmark problems were looked for by their words: HumanEval, MBPP's test split"
            + "".join(f", {name}" for name in prepared["options"]["benchmarks"])
            + ". One in other words is not found."
        )
    unparsable = prepared["rejected"].get("not Python", 0)
    if unparsable > prepared["kept"] / 2:
        notes.append(f"{unparsable} rows are no Python and were left out; --keep-unparsable keeps them.")
    secrets = prepared["rejected"].get("secret", 0)
    if secrets:
        notes.append(
            f"{secrets} rows held what looks like a secret and were left out; their places are in the report."
        )
    return notes


def _render_sources(prepared: Mapping[str, Any]) -> Iterator[str]:
    yield "| source | read | usable | sha256 |"
    yield "|---|---|---|---|"
    for one in prepared["sources"]:
        mark = " (held out)" if one.get("held_out") else ""
        yield f"| {_cell(one['text'])}{mark} | {one['read']} | {one['examples']} | `{one['sha256'][:16]}…` |"


def _render_counts(prepared: Mapping[str, Any], tokens: Mapping[str, Any]) -> Iterator[str]:
    yield f"- {tokens['train']} to train on, {tokens['eval']} held out"
    if prepared["kept_together"]:
        yield (
            f"- divided by {prepared['kept_together']} and by near code, never by row, seed "
            f"{prepared['options']['seed']}"
        )
    yield f"- kinds: {_counts(prepared['kinds'])}"
    yield f"- licences: {_counts(prepared['licenses'])}"


def _render_rejects(prepared: Mapping[str, Any]) -> Iterator[str]:
    if not prepared["rejected"]:
        yield "Nothing."
        return
    yield "| reason | rows | for example |"
    yield "|---|---|---|"
    for reason, count in prepared["rejected"].items():
        shown = "; ".join(prepared["rejected_examples"][reason])
        yield f"| {reason} | {count} | {_cell(shown)} |"


def _render_tokens(tokens: Mapping[str, Any]) -> Iterator[str]:
    lengths = tokens["lengths"]
    yield f"- format `{tokens['prompt_format']}`, tokenizer of {_cell(tokens['base']['name'])}"
    yield f"- {lengths['tokens']} tokens, {lengths['learnt_tokens']} of them learnt"
    yield (
        f"- a row has {lengths['p50']} (median), {lengths['p90']} (90 %), {lengths['p99']} (99 %), "
        f"{lengths['max']} at most; the limit is {tokens['max_tokens']}"
    )
    yield f"- {tokens['too_long']} rows were too long and left out, {tokens['shortened']} were shortened"
    yield ""
    yield "```"
    yield from render_histogram(lengths)
    yield "```"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
