# pyright: basic
"""The third stage: an adapter trained on a run's tokens.

Publishes `adapter/` in PEFT's own format, `metrics.jsonl`, `curves.svg` and the stage's record.
"""

from __future__ import annotations

import resource
import shutil
import sys
from importlib import import_module, metadata
from typing import Any

from assistant.errors import UsageError
from assistant.models.hashing import hash_file
from finetune.base import Base, hash_tokenizer
from finetune.merging.tensor_files import find_shards
from finetune.progress import Report, Step, report_nothing
from finetune.rundir import RunDir, write_record
from finetune.tokenizing import STAGE as TOKENS
from finetune.training.checkpoints import DIRECTORY, Checkpoints, sync_file
from finetune.training.hardware import Setup, choose_setup, find_hardware
from finetune.training.interrupting import TrainingInterrupted
from finetune.training.metrics import MetricsFile
from finetune.training.options import TrainOptions
from finetune.training.preflight import CHECKPOINTS, Fit, check_disk, find_fit, running_on
from finetune.training.processes import Processes, find_processes
from finetune.training.result import ADAPTER, METRICS_NAME, STAGE, TrainResult, result_from_json
from finetune.training.starting import Start, find_start


def train_run(
    run: RunDir,
    base: Base,
    options: TrainOptions,
    report: Report = report_nothing,
    *,
    resume: bool = False,
    replace: bool = False,
) -> TrainResult:
    """Train an adapter and return its numbers.

    The caller holds the run's lock. With `resume`, a training that has ended is not repeated.

    Args:
        run: Whose tokens are learnt.
        base: What the adapter is put on; its tokenizer made the tokens.
        options: How.
        report: Told how far it is.
        resume: Go on after the newest whole checkpoint, if there is one.
        replace: Begin anew though there are checkpoints.

    Raises:
        UsageError: Data or options cannot be used together.
        ModelError: The base is missing, damaged or of another tokenizer.
        OutOfMemoryError: The device has no room.
        StorageError: The disk has none.
        AssistantError: The loss is no number any more.
        TrainingInterrupted: The user or the system asked to stop; there is a checkpoint.
    """
    check_base(run, base)
    start = find_start(run, base, options, resume=resume, replace=replace)
    if start.is_done:
        return result_from_json(run.read_record(STAGE)["result"])
    processes = find_processes()
    setup = choose_setup(options, find_hardware(options.device, processes.local_rank))
    with running_on(setup):
        report(Step(stage="loading the libraries for training"))
        fit = find_fit(run, base, setup, processes)
        if processes.is_main:
            check_disk(run, fit)
        return _Training(run, base, setup, fit, processes, report).run_from(start)


def check_run(
    run: RunDir, base: Base, options: TrainOptions, report: Report = report_nothing
) -> dict[str, Any]:
    """Look at all that a training needs, make one real step and measure one real batch; write nothing.

    Returns:
        Steps, memory, disk and time that it will take.

    Raises:
        AssistantError: As `train_run`.
    """
    check_base(run, base)
    processes = find_processes()
    setup = choose_setup(options, find_hardware(options.device, processes.local_rank))
    with running_on(setup):
        report(Step(stage="loading the libraries for training"))
        fit = find_fit(run, base, setup, processes)
        check_disk(run, fit)
        training = _Training(run, base, setup, fit, processes, report)
        trainer = training.build()[0]
        report(Step(stage="trying one step"))
        speed = trainer.rehearse()
    plan = fit.plan
    return {
        "sequences": len(fit.sequences),
        "steps": len(plan.steps),
        "epoch_steps": plan.epoch_steps,
        "eval_steps": plan.eval_steps,
        "micro_batch": fit.micro_batch,
        "gradient_checkpointing": fit.checkpointing,
        "device": setup.hardware.name,
        "precision": setup.precision,
        "trained_parameters": fit.shape.adapter,
        "memory": fit.memory,
        "memory_free": setup.hardware.memory,
        "disk": CHECKPOINTS * fit.checkpoint_bytes,
        "minutes": sum(plan.tokens) / speed / 60,
    }


def check_base(run: RunDir, base: Base) -> None:
    """Refuse a base that is not whole, or that would read a run's tokens as other text.

    Raises:
        ModelError: A file of it is missing or damaged.
        UsageError: It has another tokenizer.
    """
    record = run.read_record(TOKENS)
    if hash_tokenizer(base.directory) != record["tokenizer_sha256"]:
        raise UsageError(
            f"the tokens of {run.name} were made for {record['base']['name']}, and {base.name} has another"
            " tokenizer",
            hint=f"--base {record['base']['name']}, or build the data again",
        )
    find_shards(base.directory)


class _Training:
    """What belongs together while a training goes on."""

    def __init__(
        self, run: RunDir, base: Base, setup: Setup, fit: Fit, processes: Processes, report: Report
    ) -> None:
        self.run, self.base, self.setup, self.fit = run, base, setup, fit
        self.processes = processes
        self.report = report if processes.is_main else report_nothing
        self.checkpoints = Checkpoints(run.path / DIRECTORY)
        self.metrics = MetricsFile(run.path / METRICS_NAME)

    def build(self) -> Any:
        """Return a trainer, who watches it and what stops it."""
        assembling: Any = import_module("finetune.training.assembling")
        return assembling.build_trainer(
            base=self.base,
            setup=self.setup,
            fit=self.fit,
            processes=self.processes,
            checkpoints=self.checkpoints,
            metrics=self.metrics if self.processes.is_main else None,
            report=self.report,
        )

    def run_from(self, start: Start) -> TrainResult:
        """Train, and publish what was learnt."""
        trainer, watcher, stop = self.build()
        self.report(Step(stage="trying one step"))
        trainer.rehearse()
        trainer.accelerator.wait_for_everyone()
        if self.processes.is_main:
            self._begin(start)
        trainer.accelerator.wait_for_everyone()
        checkpoint = str(self.checkpoints.get_path(start.step)) if start.step else None
        total = len(self.fit.plan.steps)
        self.report(Step(stage="training", done=start.step, total=total))
        with stop:
            trainer.train(resume_from_checkpoint=checkpoint)
        made = trainer.state.global_step
        if stop.wanted and not _has_ended(trainer, total):
            raise TrainingInterrupted(self.run.name, made, total)
        result = self._summarise(trainer, watcher)
        if self.processes.is_main:
            self._publish(result)
        trainer.accelerator.wait_for_everyone()
        return result

    def _begin(self, start: Start) -> None:
        if start.fresh is not None:
            self.checkpoints.clear()
            self.checkpoints.write_started(start.fresh)
        self.checkpoints.remove_after(start.step)
        self.metrics.begin(start.step)

    def _summarise(self, trainer: Any, watcher: Any) -> TrainResult:
        state = trainer.state
        losses = [one["loss"] for one in state.log_history if "loss" in one]
        best = state.best_global_step or state.global_step
        if not self.checkpoints.is_whole(best):
            best = self.checkpoints.find_newest() or best
        return TrainResult(
            steps=state.global_step,
            best_step=best,
            loss=losses[-1],
            eval_loss=state.best_metric,
            tokens_per_s=watcher.tokens / max(watcher.step_seconds, 1e-9),
            peak_memory=find_peak_memory(self.setup),
            minutes=watcher.seconds() / 60,
        )

    def _publish(self, result: TrainResult) -> None:
        source = self.checkpoints.get_path(result.best_step)
        with self.run.open_stage(ADAPTER) as directory:
            for name in ("adapter_model.safetensors", "adapter_config.json"):
                shutil.copy2(source / name, directory / name)
                sync_file(directory / name)
        started = self.checkpoints.read_started() or {}
        with self.run.open_stage(STAGE) as directory:
            write_record(
                directory,
                STAGE,
                {
                    **started,
                    "base": {
                        "name": self.base.name,
                        "directory": str(self.base.directory),
                        "revision": self.base.revision,
                    },
                    "quantization": self._describe_quantization(),
                    "precision": self.setup.precision,
                    "device": self.setup.hardware.name,
                    "processes": self.processes.count,
                    "optimizer": self.setup.optimizer,
                    "micro_batch": self.fit.micro_batch,
                    "gradient_checkpointing": self.fit.checkpointing,
                    "planned_steps": len(self.fit.plan.steps),
                    "adapter_sha256": hash_file(self.run.path / ADAPTER / "adapter_model.safetensors").sha256,
                    "versions": {name: metadata.version(name) for name in VERSIONED},
                    "result": result.to_json(),
                },
            )
        self.checkpoints.clear()

    def _describe_quantization(self) -> dict[str, Any]:
        options = self.setup.options
        if options.quantization == "none":
            return {"kind": "none"}
        return {"kind": "nf4", "double": options.double_quant, "dtype": self.setup.precision}


VERSIONED = ("torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate")


def find_peak_memory(setup: Setup) -> int:
    """Return the most bytes that were in use: of the GPU, or of this process."""
    if setup.hardware.kind == "cuda":
        torch: Any = import_module("torch")
        return torch.cuda.max_memory_allocated(setup.hardware.number)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _has_ended(trainer: Any, total: int) -> bool:
    """Whether nothing is left to do."""
    return trainer.state.global_step >= total
