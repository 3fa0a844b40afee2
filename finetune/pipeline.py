"""The whole run after its data: train, merge, measure, publish, put in service. Each stage leaves its record.

A stage that is done for the adapter that is there is not repeated. Names no torch: the stages import theirs.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from assistant import paths
from assistant.errors import ModelError
from assistant.models.store import ModelStore
from finetune.base import Base
from finetune.freeing import free_memory
from finetune.gate.gate import STAGE as GATE
from finetune.gate.gate import GateOptions, run_gate
from finetune.gate.measuring import Candidate, MeasureModel, measure_model
from finetune.merging.record import MODEL_DIR
from finetune.merging.record import STAGE as MERGE
from finetune.merging.record import STAGE_16 as MERGED_16
from finetune.progress import Report, Step, report_nothing
from finetune.publishing import STAGE as PUBLISH
from finetune.publishing import choose_name, publish_model
from finetune.rows import STAGE as PREPARE
from finetune.rundir import RunDir
from finetune.tokenizing import STAGE as TOKENS
from finetune.training.options import TrainOptions
from finetune.training.result import STAGE as TRAIN

NOT_BETTER = 6
"""The exit code of a run that went to its end and whose model did not take the old one's place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishOptions:
    """What becomes of a trained adapter."""

    name: str = ""
    """Of the model in the store; empty for base and run together."""
    gate: GateOptions = field(default_factory=GateOptions)
    activate: bool = True
    """Put it in service if it is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What came of a run."""

    name: str
    """Of the model in the store."""
    directory: Path
    gate: Mapping[str, Any] | None
    """The gate's record; None where no row is held out."""
    is_active: bool
    """Whether it is the active model now."""

    @property
    def is_better(self) -> bool:
        """Whether the gate let it through."""
        return bool(self.gate and self.gate["is_better"])


Train = Callable[..., Any]
Merge = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What does the work: exchanged in tests."""

    train: Train | None = None
    merge: Merge | None = None
    measure: MeasureModel = measure_model

    def find_train(self) -> Train:
        """Return what trains."""
        return self.train or import_module("finetune.training.train").train_run

    def find_merge(self) -> Merge:
        """Return what merges."""
        return self.merge or import_module("finetune.merging.stage").run_merge


_STAGES = Stages()


def run_training(
    run: RunDir,
    base: Base,
    options: TrainOptions,
    report: Report = report_nothing,
    *,
    resume: bool = False,
    stages: Stages = _STAGES,
) -> None:
    """Train a run's adapter; one that is trained already with these options is left as it is.

    Raises:
        AssistantError: As `finetune.training.train.train_run`.
        KeyboardInterrupt: The user stopped it; a checkpoint is there.
    """
    with run.locked():
        stages.find_train()(run, base, options, report, resume=resume)


def finish_run(
    run: RunDir,
    base: Base,
    options: FinishOptions,
    report: Report = report_nothing,
    *,
    stages: Stages = _STAGES,
) -> Finished:
    """Merge, measure and publish what was trained, and put it in service if it is better.

    Raises:
        AssistantError: A stage failed; the store and the active model are what they were.
    """
    with run.locked():
        key = hash_adapter(run)
        published = find_published(run, key)
        if published is None:
            name = options.name or choose_name(base, run)
            ModelStore(paths.models_dir()).check_free(name)
            merged = ensure_merged(run, base, report, stages=stages)
            gate = _ensure_gate(run, base, name, key, options.gate, report, stages)
            report(Step(stage=f"publishing {name}"))
            tokens = run.read_record(TOKENS)
            facts = build_facts(run, merged, gate)
            model = run.get_stage(MERGE) / MODEL_DIR
            publish_model(run, base, model, name=name, prompt_format=tokens["prompt_format"], facts=facts)
            published = name
            # The store has it: the run's second name for the same bytes would outlive `models remove`.
            shutil.rmtree(model, ignore_errors=True)
        else:
            gate = run.read_record(GATE) if run.find_stage(GATE) else None
    return _activate(published, gate, activate=options.activate)


def ensure_merged(
    run: RunDir, base: Base, report: Report, *, for_16_bits: bool = False, stages: Stages = _STAGES
) -> dict[str, Any]:
    """Merge a run's adapter unless that is done. The caller holds the lock.

    Raises:
        AssistantError: It cannot be merged.
    """
    stage = MERGED_16 if for_16_bits else MERGE
    if run.find_stage(stage) is not None and (run.get_stage(stage) / MODEL_DIR).is_dir():
        record = run.read_record(stage)
        if record["adapter_sha256"] == hash_adapter(run):
            return record
    return stages.find_merge()(run, base, report, for_16_bits=for_16_bits)


def hash_adapter(run: RunDir) -> str:
    """Return what tells a trained adapter from another.

    Raises:
        UsageError: There is none.
    """
    return str(run.read_record(TRAIN)["adapter_sha256"])


def find_published(run: RunDir, key: str) -> str | None:
    """Return the name under which the store has this adapter's model, or None."""
    if run.find_stage(PUBLISH) is None or run.find_stage(MERGE) is None:
        return None
    name = run.read_record(PUBLISH)["name"]
    store = ModelStore(paths.models_dir())
    if run.read_record(MERGE)["adapter_sha256"] != key or store.find(name) is None:
        return None
    return name if store.read_manifest(name).source == f"finetune:{run.name}" else None


def build_facts(run: RunDir, merged: Mapping[str, Any], gate: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a model's card tells of how it came about."""
    prepared, train = run.read_record(PREPARE), run.read_record(TRAIN)
    return {
        "quantization": merged["quantization"],
        "equality": merged["equality"],
        "gate": gate,
        "data": {
            "train rows": prepared["train"],
            "held-out rows": prepared["eval"],
            "kinds": prepared["kinds"],
            "licences": prepared["licenses"],
            "left out": prepared["rejected"],
            "rows sha256": prepared["rows_sha256"],
        },
        "settings": {**train["started"]["options"], **train["result"]},
    }


def finished_to_json(run: RunDir, finished: Finished) -> dict[str, Any]:
    """Return what a program is told."""
    document = asdict(finished) | {"directory": str(finished.directory), "is_better": finished.is_better}
    return {"schema": 1, "run": run.name, **document}


def _ensure_gate(
    run: RunDir,
    base: Base,
    name: str,
    key: str,
    options: GateOptions,
    report: Report,
    stages: Stages,
) -> dict[str, Any] | None:
    tokens = run.read_record(TOKENS)
    if not tokens["eval"]:
        return None
    if run.find_stage(GATE) is not None:
        record = run.read_record(GATE)
        same = (record["adapter_sha256"], record["trained"], record["margin"]) == (key, name, options.margin)
        # A record of an earlier version has no suite, and knows no forms and no penalty.
        suite: Mapping[str, Any] = record.get("suite") or {}
        is_whole = {"kept", "repetition_penalty"} <= record.keys()
        if same and is_whole and suite.get("source", "") == options.suite:
            return record
    free_memory()
    trained = Candidate(
        name=name, directory=run.get_stage(MERGE) / MODEL_DIR, serve_format=tokens["prompt_format"]
    )
    return run_gate(run, base, trained, options, report, adapter_sha256=key, measure=stages.measure)


def _activate(name: str, gate: Mapping[str, Any] | None, *, activate: bool) -> Finished:
    store = ModelStore(paths.models_dir())
    if activate and gate is not None and gate["is_better"]:
        store.use(name)
    try:
        is_active = store.active() == name
    except ModelError:
        is_active = False
    return Finished(name=name, directory=store.get_directory(name), gate=gate, is_active=is_active)
