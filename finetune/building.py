"""Both data stages in one go, and the card: what `assistant finetune data build` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from assistant.files import write_atomic
from finetune.base import Base, load_tokenizer
from finetune.card import CARD_NAME, render_card
from finetune.preparing import PrepareOptions, run_prepare
from finetune.progress import Report, Step, report_nothing
from finetune.rundir import PRIVATE, RunDir
from finetune.tokenizing import TokenizeOptions, find_limit, run_tokenize


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The records of both stages."""

    prepared: dict[str, Any]
    tokens: dict[str, Any]


def build_data(
    run: RunDir,
    base: Base,
    prepare: PrepareOptions,
    tokenize: TokenizeOptions,
    report: Report = report_nothing,
) -> Built:
    """Prepare and tokenize a run's data and write its card.

    What can fail early does: the tokenizer is loaded before the data is read.

    Raises:
        AssistantError: Data, model or disk are not as they must be; the run's earlier data is untouched.
    """
    find_limit(base, tokenize.max_tokens)
    report(Step(stage=f"loading the tokenizer of {base.name}"))
    tokenizer = load_tokenizer(base.directory)
    with run.locked():
        prepared = run_prepare(run, prepare, report)
        tokens = run_tokenize(run, base, tokenizer, tokenize, report)
        card = render_card(run.name, prepared, tokens)
        write_atomic(run.path / CARD_NAME, card.encode(), mode=PRIVATE)
    return Built(prepared=prepared, tokens=tokens)
