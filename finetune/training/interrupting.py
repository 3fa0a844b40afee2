"""Ctrl-C and SIGTERM while training: the step is finished and a checkpoint written. Knows no torch."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(KeyboardInterrupt):
    """A training was asked to stop, and did with a checkpoint.

    Args:
        run: Its name.
        step: The last step that was made.
        total: How many there are to make.
    """

    def __init__(self, run: str, step: int, total: int) -> None:
        super().__init__(f"stopped after step {step} of {total}")
        self.run, self.step, self.total = run, step, total

    @property
    def resume_command(self) -> str:
        """How it goes on."""
        return f"assistant finetune train {self.run} --resume"


class StopSignals:
    """Notes the first signal; a second one interrupts at once."""

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _: int, __: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True
