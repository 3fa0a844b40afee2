"""A model that says what it is told to, at the pace it is told to. The fake beside `interface`.

Its tokenizer gives every character one token, so that tests can count.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from assistant.engine.interface import Ended, Finished, Job, LoadProgress, Piece
from assistant.requests import FinishReason, Turn


class ScriptedModel:
    """Answers every job with the same pieces, one piece a step, all jobs in step.

    Args:
        name: What it calls itself.
        pieces: One piece a token.
        step_s: Seconds for each step, prefill chunks included.
        slots: Sequences at once.
        context_tokens: Prompt and answer together.
        prefill_chunk: Prompt tokens in each prefill step.
    """

    def __init__(
        self,
        name: str = "scripted",
        pieces: Sequence[str] = ("def f():\n", "    return 1\n"),
        *,
        step_s: float = 0.0,
        slots: int = 4,
        context_tokens: int = 4096,
        prefill_chunk: int = 256,
    ) -> None:
        self.name = name
        self.context_tokens = context_tokens
        self.slots = slots
        self.device = "cpu"
        self.quantization = "none"
        self.memory_bytes = 0
        self.closed = False
        self.steps = 0
        """Steps so far: it stands still while nothing runs."""
        self._pieces = tuple(pieces)
        self._step_s = step_s
        self._prefill_chunk = prefill_chunk
        self._arrivals: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._running: list[_Sequence] = []
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"scripted-{name}", daemon=True)
        self._thread.start()

    def encode_turns(self, turns: Sequence[Turn]) -> list[int]:
        """One token a character of every turn's text and input."""
        return self.encode_text("".join(turn.text + turn.input for turn in turns))

    def encode_text(self, text: str) -> list[int]:
        """One token a character."""
        return [ord(character) for character in text]

    def submit(self, job: Job) -> None:
        """Queue a job."""
        self._arrivals.put(job)

    def active_sequences(self) -> int:
        """How many jobs hold a slot."""
        return len(self._running)

    def last_beat(self) -> float:
        """When the thread last went round."""
        return self._beat

    def close(self) -> None:
        """Cancel everything and end the thread."""
        self.closed = True
        self._arrivals.put(None)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        waiting: list[Job] = []
        while True:
            self._beat = time.monotonic()
            while not self._arrivals.empty() or not (waiting or self._running):
                try:
                    job = self._arrivals.get(timeout=0.2)
                except queue.Empty:
                    break
                if job is None:
                    for left in [*waiting, *(sequence.job for sequence in self._running)]:
                        left.cancelled.set()
                        _end_cancelled(left)
                    return
                waiting.append(job)
            while waiting and len(self._running) < self.slots:
                self._running.append(_Sequence(waiting.pop(0)))
            if self._running:
                self.steps += 1
                time.sleep(self._step_s)
                self._running = [s for s in self._running if self._step(s)]
            waiting = [job for job in waiting if not _ended_by_cancel(job)]

    def _step(self, sequence: _Sequence) -> bool:
        job = sequence.job
        if _ended_by_cancel(job):
            return False
        if sequence.prefilled < len(job.ids):
            sequence.prefilled += self._prefill_chunk
            return True
        emitted = sequence.emitted
        room = min(job.sampling.max_tokens, self.context_tokens - len(job.ids))
        if emitted >= min(room, len(self._pieces)):
            cut = emitted < len(self._pieces)
            reason = FinishReason.LENGTH if cut else FinishReason.STOP
            for index in range(job.sampling.n):
                job.sink(Finished(index=index, reason=reason))
            job.sink(Ended())
            return False
        for index in range(job.sampling.n):
            job.sink(Piece(index=index, text=self._pieces[emitted], tokens=1))
        sequence.emitted += 1
        return True


class _Sequence:
    def __init__(self, job: Job) -> None:
        self.job = job
        self.prefilled = 0
        self.emitted = 0


def _ended_by_cancel(job: Job) -> bool:
    if not job.cancelled.is_set():
        return False
    _end_cancelled(job)
    return True


def _end_cancelled(job: Job) -> None:
    for index in range(job.sampling.n):
        job.sink(Finished(index=index, reason=FinishReason.CANCELLED))
    job.sink(Ended())


def scripted_loader(
    build: Callable[[Path], ScriptedModel],
) -> Callable[[Path, Callable[[LoadProgress], None]], ScriptedModel]:
    """Make a `LoadModel` from a function that builds the fake for a model directory."""

    def load(directory: Path, report: Callable[[LoadProgress], None]) -> ScriptedModel:
        report(LoadProgress(stage="loading", fraction=0.5))
        return build(directory)

    return load
