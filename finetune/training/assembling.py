# pyright: basic
"""A trainer from all that it needs: the base, an adapter, rows, steps, and who watches."""

from __future__ import annotations

import warnings
from typing import Any

import datasets
import torch
import transformers
from transformers.trainer_callback import PrinterCallback

from finetune.base import Base, load_tokenizer
from finetune.progress import Report, Step
from finetune.training.arguments import build_arguments, build_lora
from finetune.training.base_model import load_base
from finetune.training.checkpoints import Checkpoints
from finetune.training.hardware import Setup
from finetune.training.interrupting import StopSignals
from finetune.training.metrics import MetricsFile
from finetune.training.preflight import Fit
from finetune.training.processes import Processes
from finetune.training.sequences import Collator
from finetune.training.trainer import AdapterTrainer
from finetune.training.watching import Watcher


def build_trainer(
    *,
    base: Base,
    setup: Setup,
    fit: Fit,
    processes: Processes,
    checkpoints: Checkpoints,
    metrics: MetricsFile | None,
    report: Report,
) -> tuple[AdapterTrainer, Watcher, StopSignals]:
    """Load the base, put an adapter on it and return what trains it, what watches and what stops it.

    Raises:
        ModelError: The base cannot be loaded.
    """
    _silence_libraries()
    tokenizer: Any = load_tokenizer(base.directory)
    model = load_base(base.directory, setup, report)
    report(Step(stage="preparing the training"))
    arguments = build_arguments(
        checkpoints.path.parent,
        setup,
        fit.plan,
        processes,
        micro_batch=fit.micro_batch,
        checkpointing=fit.checkpointing,
    )
    pad_id = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    with warnings.catch_warnings():
        _allow_old_names()
        trainer = AdapterTrainer(
            sequences=fit.sequences,
            held_out=fit.held_out,
            plan=fit.plan,
            checkpoints=checkpoints,
            processes=processes,
            model=model,
            args=arguments,
            data_collator=Collator(pad_id=pad_id, packs=setup.options.packing != "none"),
            train_dataset=_build_rows(fit),
            processing_class=tokenizer,
            peft_config=build_lora(setup),
        )
    keep_adapter_exact(trainer.model)
    stop = StopSignals()
    return trainer, _watch(trainer, fit, setup, stop, metrics, report), stop


def _watch(
    trainer: AdapterTrainer,
    fit: Fit,
    setup: Setup,
    stop: StopSignals,
    metrics: MetricsFile | None,
    report: Report,
) -> Watcher:
    watcher = Watcher(
        plan=fit.plan,
        metrics=metrics,
        stop=stop,
        report=report,
        patience=setup.options.patience,
        has_eval=bool(fit.held_out),
    )
    watcher.trainer = trainer
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(watcher)
    return watcher


def _build_rows(fit: Fit) -> datasets.Dataset:
    rows = [row for sequence in fit.sequences for row in sequence]
    columns = {"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]}
    return datasets.Dataset.from_dict(columns)


def _silence_libraries() -> None:
    """The progress that is shown is ours."""
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()


def keep_adapter_exact(model: Any) -> None:
    """Keep what is trained in full precision.

    TRL puts adapters on a quantised base into bfloat16: float16 training cannot scale such gradients,
    and small updates are lost.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)


def _allow_old_names() -> None:
    """Let the libraries ask one another for properties by their former names, which warns."""
    warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
