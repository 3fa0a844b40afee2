# pyright: basic
"""The stage that merges: a run's adapter into a whole model, held to what was trained.

`merge/model` becomes the store's model: onto the original weights, as the generator quantises them again.
`merged16/model` is for use in 16 bits elsewhere: onto what nf4 made of the weights, as they were trained on.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from assistant.errors import UsageError
from assistant.files import storage_error
from assistant.models.hashing import hash_file
from finetune.base import Base, hash_tokenizer, load_tokenizer
from finetune.merging.adapter import WEIGHTS_NAME
from finetune.merging.equality import check_equality, require_equality
from finetune.merging.merge import Onto, merge_adapter
from finetune.merging.nf4 import Nf4
from finetune.merging.record import MODEL_DIR, STAGE, STAGE_16
from finetune.progress import Report, Step, report_nothing
from finetune.publishing import write_surroundings
from finetune.rows import EVAL, TRAIN
from finetune.rundir import RunDir, write_record
from finetune.tokenizing import STAGE as TOKENS
from finetune.tokenizing import read_tokens
from finetune.training.base_model import DTYPES
from finetune.training.result import ADAPTER
from finetune.training.result import STAGE as TRAINED


def run_merge(
    run: RunDir, base: Base, report: Report = report_nothing, *, for_16_bits: bool = False
) -> dict[str, Any]:
    """Merge a run's adapter, check the result and return the stage's record.

    The caller holds the run's lock. A failure leaves what was merged before as it was.

    Args:
        run: With its adapter trained.
        base: What it was trained on.
        report: Told how far it is.
        for_16_bits: Make `merged16` instead of `merge`.

    Raises:
        UsageError: There is no adapter, or it was trained on another base.
        ModelError: Base or adapter are damaged, or the result is not what was trained.
        StorageError: The disk is full.
    """
    adapter = find_adapter(run)
    tokens = run.read_record(TOKENS)
    if hash_tokenizer(base.directory) != tokens["tokenizer_sha256"]:
        raise UsageError(
            f"{base.name} is not the model that {run.name} was trained on, {tokens['base']['name']}",
            hint="its tokenizer is another; leave --base away",
        )
    nf4 = read_nf4(run)
    onto = Onto.NF4 if for_16_bits and nf4 is not None else Onto.ORIGINAL
    stage = STAGE_16 if for_16_bits else STAGE
    with run.open_stage(stage) as directory:
        model = directory / MODEL_DIR
        try:
            model.mkdir(mode=0o700)
        except OSError as error:
            raise storage_error(error, model) from error
        merged = merge_adapter(base.directory, adapter, model, onto=onto, nf4=nf4, report=report)
        tokenizer = load_tokenizer(base.directory)
        write_surroundings(base, model, tokenizer, tokens["prompt_format"])
        rows = read_tokens(run, EVAL) or read_tokens(run, TRAIN)
        equality = check_equality(
            base=base.directory,
            adapter=adapter,
            merged=model,
            rows=[(row.input_ids, row.labels) for row in rows],
            onto=onto,
            nf4=nf4,
            report=report,
        )
        require_equality(equality)
        report(Step(stage="writing the merged model"))
        write_record(
            directory,
            stage,
            {
                "adapter_sha256": hash_adapter(run),
                "merged": dataclasses.asdict(merged),
                "equality": {"onto": onto.value, **dataclasses.asdict(equality)},
                "quantization": "none" if nf4 is None else "nf4",
            },
        )
    return run.read_record(stage)


def find_adapter(run: RunDir) -> Path:
    """Return a run's adapter.

    Raises:
        UsageError: It was not trained to its end.
    """
    adapter = run.path / ADAPTER
    if not (adapter / WEIGHTS_NAME).is_file():
        raise UsageError(
            f"the run {run.name} has no trained adapter", hint=f"`assistant finetune train {run.name}`"
        )
    return adapter


def hash_adapter(run: RunDir) -> str:
    """Return what tells a run's adapter from an earlier one: the sha256 of its weights."""
    return hash_file(find_adapter(run) / WEIGHTS_NAME).sha256


def read_nf4(run: RunDir) -> Nf4 | None:
    """Return how a run's base was quantised while it was trained, None if it was not."""
    if run.find_stage(TRAINED) is None:
        return Nf4()
    how = run.read_record(TRAINED)["quantization"]
    if how["kind"] != "nf4":
        return None
    return Nf4(double=how["double"], dtype=DTYPES[how["dtype"]])
