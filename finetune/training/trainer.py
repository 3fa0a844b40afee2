# pyright: basic
"""TRL's trainer with what it does not do: a planned order, the loss where labels are, whole checkpoints."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Sampler
from trl.trainer.sft_trainer import SFTTrainer

from assistant.errors import AssistantError
from assistant.prompts.token_ids import NO_LABEL
from finetune.training.checkpoints import Checkpoints
from finetune.training.plan import Plan
from finetune.training.processes import Processes
from finetune.training.sequences import Collator, Rows, count_tokens


class AdapterTrainer(SFTTrainer):
    """Trains an adapter by a plan.

    Args:
        sequences: What the plan's numbers mean.
        held_out: To measure with.
        plan: Which sequences make up which step.
        checkpoints: Where they are written.
        processes: Those that train together.
        **arguments: Of TRL's trainer.
    """

    model: Any
    accelerator: Any
    data_collator: Any

    def __init__(
        self,
        *,
        sequences: Sequence[Rows],
        held_out: Sequence[Rows],
        plan: Plan,
        checkpoints: Checkpoints,
        processes: Processes,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self.sequences, self.held_out, self.plan = sequences, held_out, plan
        self.checkpoints, self.processes = checkpoints, processes
        self.batches = plan.batches(processes.rank, processes.count)
        self._where: Tensor | None = None
        self._is_fused = self.args.device.type == "cuda"  # TRL's head computes only there what is learnt
        self.model.get_output_embeddings().register_forward_pre_hook(self._keep_labelled)

    def get_train_dataloader(self) -> DataLoader:
        """Return this process's micro-batches of the whole training, as one epoch."""
        return DataLoader(
            self.sequences,  # type: ignore[arg-type] - a list is a dataset
            batch_sampler=_Planned(self.batches),
            collate_fn=self.data_collator,
            generator=torch.Generator(),  # else a number is drawn from the one that dropout uses
        )

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Return the mean loss over the labels of a step, of which these inputs are a part."""
        total, count, _ = self.score(model, inputs)
        loss = total / (count if num_items_in_batch is None else num_items_in_batch)
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # gradients are averaged over processes
        return loss

    def score(self, model: Any, inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return the summed loss of labels, their number, and how many are the likeliest token."""
        more = {name: value for name, value in inputs.items() if name != "labels"}
        labels = inputs["labels"]
        where = labels[:, 1:] != NO_LABEL  # (batch, length - 1)
        if self._is_fused:
            outputs = model(**more, labels=labels, use_cache=False, fused_lm_head=True)
            return -outputs.log_probs.sum(), where.sum(), outputs.is_top1.sum()
        self._where = where
        logits = model(**more, use_cache=False).logits  # (labels, vocabulary)
        targets = labels[:, 1:][where]
        total = cross_entropy(logits.float(), targets, reduction="sum")
        return total, where.sum(), (logits.detach().argmax(-1) == targets).sum()

    def _keep_labelled(self, _: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Let the head compute only positions that have a label: most of the time goes there otherwise."""
        if self._where is None:
            return None
        where, self._where = self._where, None
        return (inputs[0][:, :-1][where],)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """Make one micro-batch's gradients.

        Raises:
            AssistantError: The loss is no number, or exactly zero.
        """
        loss = super().training_step(model, inputs, num_items_in_batch)
        value = float(loss)
        if value == 0 or not math.isfinite(value):
            raise AssistantError(
                f"the loss became {value:g} in step {self.state.global_step + 1}, on rows of the lines"
                f" {self._find_lines()}; nothing was learnt from it",
                hint="lower lr and begin anew with --replace; the checkpoint before it is kept",
            )
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Measure on the held-out rows: nats per token over all of them, and the share that is likeliest."""
        sums = torch.zeros(3, dtype=torch.float64)
        was_training = self.model.training
        self.model.eval()
        for batch in self.build_eval_batches()[self.processes.rank :: self.processes.count]:
            sums += self.measure(batch)
        self.model.train(was_training)
        loss, count, right = self.accelerator.reduce(sums.float().to(self.args.device)).tolist()
        metrics = {"eval_loss": loss / count, "eval_accuracy": right / count}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def measure(self, batch: Sequence[Rows]) -> Tensor:
        """Return summed loss, labels and right ones of some held-out rows, (3,), float64."""
        collate = Collator(pad_id=self.data_collator.pad_id, packs=False)
        with torch.no_grad(), self.compute_loss_context_manager():
            found = self.score(self.model, self._prepare_inputs(collate(batch)))
        return torch.stack([one.double().cpu() for one in found])

    def build_eval_batches(self) -> list[list[Rows]]:
        """Return the held-out rows in batches of similar length, the longest first."""
        ordered = sorted(self.held_out, key=lambda one: -count_tokens(one))
        size = max(1, self.args.per_device_train_batch_size)
        return [ordered[first : first + size] for first in range(0, len(ordered), size)]

    def rehearse(self) -> float:
        """Make one real step's gradients and measure one real batch, the longest of each; keep nothing.

        Returns:
            Tokens per second of the step, padding counted.
        """
        state = random.getstate()
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            longest = max(self.batches, key=self._padded_size)
            inputs = self._prepare_inputs(self.data_collator([self.sequences[one] for one in longest]))
            self.model.train()
            began = time.monotonic()
            with self.compute_loss_context_manager():
                loss = self.compute_loss(self.model, inputs)
            loss.backward()
            self.model.zero_grad()
            speed = inputs["input_ids"].numel() / (time.monotonic() - began)
            if self.held_out:
                self.model.eval()
                self.measure(self.build_eval_batches()[0])
        random.setstate(state)
        return speed

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        step = self.state.global_step
        if not self.processes.is_main:
            self.accelerator.wait_for_everyone()
            self._save_rng_state(str(self.checkpoints.get_staging_path(step)))
            self.accelerator.wait_for_everyone()
        else:
            with self.checkpoints.open_checkpoint(step) as staging:
                self.accelerator.wait_for_everyone()
                self._write_checkpoint(staging)
                self.accelerator.wait_for_everyone()
            self.checkpoints.remove_old(self.state.best_global_step)
        self.accelerator.wait_for_everyone()

    def _write_checkpoint(self, staging: Path) -> None:
        save_adapter(self.accelerator.unwrap_model(self.model), staging)
        self._save_optimizer_and_scheduler(str(staging))
        self._save_scaler(str(staging))
        self._save_rng_state(str(staging))
        self.state.save_to_json(str(staging / "trainer_state.json"))

    def _find_lines(self) -> str:
        """Return the lines of `rows.jsonl` in the step that is being made, some of them."""
        step = self.plan.steps[self.state.global_step]
        rows = [row for micro in step for one in micro for row in self.sequences[one]]
        return ", ".join(str(row.row + 1) for row in rows[:16]) + (" …" if len(rows) > 16 else "")

    def _padded_size(self, batch: Sequence[int]) -> int:
        lengths = [count_tokens(self.sequences[one]) for one in batch]
        return sum(lengths) if self.data_collator.packs else max(lengths) * len(lengths)


def save_adapter(model: Any, directory: Path) -> None:
    """Save an adapter in PEFT's format, and nothing else.

    Raises:
        AssistantError: It holds numbers that are not finite.
    """
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not bool(parameter.isfinite().all()):
            raise AssistantError(
                f"the adapter's {name} is not finite any more",
                hint="lower lr and begin anew with --replace; the checkpoint before it is kept",
            )
    model.save_pretrained(directory, save_embedding_layers=False)
    (directory / "README.md").unlink(missing_ok=True)


class _Planned(Sampler[list[int]]):
    """Batches in the order in which they are planned."""

    def __init__(self, batches: Sequence[list[int]]) -> None:
        self._batches = batches
        self.batch_size, self.drop_last = None, False  # what accelerate asks of one when it skips

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)
