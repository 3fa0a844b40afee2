# pyright: basic
"""What is done between steps: measurements written down, checkpoints asked for, an early end."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from transformers import TrainerCallback

from assistant.files import write_atomic
from finetune.progress import Report, Step
from finetune.training.curves import render_curves
from finetune.training.interrupting import StopSignals
from finetune.training.metrics import MetricsFile
from finetune.training.plan import Plan

CURVES_NAME = "curves.svg"
WINDOW = 0.9
"""Weight of what went before in the speed that is shown."""


class Watcher(TrainerCallback):
    """Follows a training and decides when it is measured, saved and ended.

    Args:
        plan: All steps.
        metrics: Where measurements go; None in a process that writes none.
        stop: The user's wish to end it.
        report: Told how far it is.
        patience: Measurements without anything better after which it ends; 0 for never.
        has_eval: Whether there is anything to measure with.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        metrics: MetricsFile | None,
        stop: StopSignals,
        report: Report,
        patience: int,
        has_eval: bool,
    ) -> None:
        self.plan, self.metrics, self.stop, self.report = plan, metrics, stop, report
        self.patience, self.has_eval = patience, has_eval
        self.trainer: Any = None
        self.tokens = 0
        self.step_seconds = 0.0
        """Of this session, spent in steps."""
        self._speed = 0.0
        self._step_began = self._began = time.monotonic()
        self._seconds_before = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take up the time that earlier sessions took."""
        earlier = self.metrics.read() if self.metrics else []
        self._seconds_before = earlier[-1].get("seconds", 0.0) if earlier else 0.0
        self._began = time.monotonic()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._step_began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Ask for what is due after a step."""
        seconds = time.monotonic() - self._step_began
        tokens = self.plan.tokens[state.global_step - 1]
        self.tokens += tokens
        self.step_seconds += seconds
        now = tokens / max(seconds, 1e-9)
        self._speed = WINDOW * self._speed + (1 - WINDOW) * now if self._speed else now
        is_last = state.global_step >= len(self.plan.steps)
        is_due = is_last or state.global_step % self.plan.eval_steps == 0
        control.should_evaluate = is_due and self.has_eval
        control.should_save = is_due
        if self._is_stop_wanted():
            control.should_save = control.should_training_stop = True
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Write a measurement down and show the step."""
        values = dict(logs or {})
        if "loss" in values:
            self._write(
                state.global_step,
                loss=values["loss"],
                lr=values["learning_rate"],
                grad_norm=values.get("grad_norm", 0.0),
                tokens_per_s=round(self._speed, 2),
            )
            detail = f"loss {values['loss']:.3f}, {self._speed:.0f} tokens/s"
            self.report(
                Step(stage="training", done=state.global_step, total=len(self.plan.steps), detail=detail)
            )
        elif "eval_loss" in values:
            self._write(
                state.global_step, eval_loss=values["eval_loss"], eval_accuracy=values["eval_accuracy"]
            )

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """End a training that gets no better."""
        losses = [one["eval_loss"] for one in state.log_history if "eval_loss" in one]
        best = min(range(len(losses)), key=losses.__getitem__)
        if self.patience and len(losses) - 1 - best >= self.patience:
            control.should_training_stop = True
        return control

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        """Draw the curves anew; end where that was wished while it was measured or saved."""
        if self.metrics:
            path = self.metrics.path.with_name(CURVES_NAME)
            write_atomic(path, render_curves(self.metrics.read()).encode(), mode=0o600)
        if self._is_stop_wanted():
            control.should_training_stop = True
        return control

    def seconds(self) -> float:
        """Return how long all sessions took together."""
        return self._seconds_before + time.monotonic() - self._began

    def _is_stop_wanted(self) -> bool:
        """Whether a process of those that train together was told to stop."""
        accelerator = self.trainer.accelerator
        if accelerator.num_processes == 1:
            return self.stop.wanted
        wish = torch.tensor(float(self.stop.wanted), device=accelerator.device)
        self.stop.wanted = bool(accelerator.reduce(wish) > 0)  # what one was told, all were
        return self.stop.wanted

    def _write(self, step: int, **values: float) -> None:
        if self.metrics is None:
            return
        epoch = step / self.plan.epoch_steps
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self.metrics.append(
            {"step": step, "epoch": round(epoch, 4), **finite, "seconds": round(self.seconds(), 3)}
        )
