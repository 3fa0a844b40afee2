# pyright: basic
"""Our options in the words of the libraries: what TRL, PEFT and transformers are told."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from peft import LoraConfig
from trl.trainer.sft_config import SFTConfig

from finetune.training.hardware import Setup
from finetune.training.plan import Plan
from finetune.training.processes import Processes

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def build_lora(setup: Setup) -> LoraConfig:
    """Return which adapter to train."""
    options = setup.options
    targets: Any = options.targets if options.targets == "all-linear" else options.targets.split(",")
    return LoraConfig(
        r=options.r,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=targets,
        use_rslora=options.rslora,
        use_dora=options.dora,
        bias="none",
        task_type="CAUSAL_LM",
    )


def build_arguments(
    directory: Path, setup: Setup, plan: Plan, processes: Processes, *, micro_batch: int, checkpointing: bool
) -> SFTConfig:
    """Return the arguments of TRL's trainer.

    Args:
        directory: For what it writes by itself, which is nothing.
        setup: How it is done.
        plan: All steps.
        processes: Those that train together.
        micro_batch: Sequences at once.
        checkpointing: Whether activations are computed twice.
    """
    options = setup.options
    total = len(plan.steps)
    with warnings.catch_warnings():
        # Its next major version calls it activation_checkpointing; TRL still reads this name.
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
        return SFTConfig(
            output_dir=str(directory),
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=len(plan.steps[0]) // processes.count,
            max_steps=total,
            learning_rate=options.lr,
            lr_scheduler_type=SCHEDULES[options.schedule],
            warmup_steps=round(total * options.warmup),
            weight_decay=options.weight_decay,
            max_grad_norm=options.max_grad_norm,
            optim=setup.optimizer,
            neftune_noise_alpha=options.neftune or None,
            bf16=setup.precision == "bf16",
            fp16=setup.precision == "fp16",
            use_cpu=setup.hardware.kind == "cpu",
            gradient_checkpointing=checkpointing,
            logging_steps=1,
            logging_nan_inf_filter=False,
            eval_strategy="no",  # the callback asks for both, at the same steps and at the last
            save_strategy="steps",
            save_steps=total + 1,
            metric_for_best_model="eval_loss",
            greater_is_better=False,
            report_to=["tensorboard"] if options.tensorboard else [],
            disable_tqdm=True,
            seed=options.seed,
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
            dataloader_pin_memory=setup.hardware.kind == "cuda",
            ddp_find_unused_parameters=False,
        )
