# pyright: basic
"""The decode loop: many jobs, one batch, one thread that alone touches the network.

Each turn of the loop computes at most one prefill chunk and one decode step, so that a short request
never waits for a long prompt or a long answer. Knows no architecture and no wire format.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from assistant.engine.device import Placement
from assistant.engine.interface import Ended, Finished, Job
from assistant.engine.memory import out_of_memory_error, release_memory
from assistant.engine.network import Network
from assistant.engine.sampling import choose_token
from assistant.engine.sequence import JobState, build_sequence
from assistant.engine.sequence import Sequence as Answer
from assistant.engine.slots import SlotTable
from assistant.engine.text import ModelText
from assistant.errors import AssistantError, GeneratorError
from assistant.requests import FinishReason, Turn

IDLE_WAIT_S = 0.25
"""How long the thread sleeps at most, so that its beat shows that it lives."""

log = logging.getLogger(__name__)


class BatchedModel:
    """A network, its tokenizer and the thread that runs them: a `LoadedModel`."""

    def __init__(
        self, *, name: str, network: Network, text: ModelText, context_tokens: int, placement: Placement
    ) -> None:
        self.name = name
        self.context_tokens = context_tokens
        self.slots = network.slots
        self.device = str(placement.device)
        self.quantization = network.quantization
        self.memory_bytes = network.memory_bytes
        self._network = network
        self._text = text
        self._placement = placement
        self._table = SlotTable(network.slots, placement.prefill_chunk, keeps_prefixes=network.keeps_prefixes)
        self._arrivals: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._waiting: deque[Answer] = deque()
        self._running: list[Answer] = []
        self._closed = False
        self._beat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"engine-{name}", daemon=True)
        self._thread.start()

    def encode_turns(self, turns: Sequence[Turn]) -> list[int]:
        """Render and tokenize a conversation; see `LoadedModel`."""
        return self._text.encode_turns(turns)

    def encode_text(self, text: str) -> list[int]:
        """Tokenize a rendered prompt; see `LoadedModel`."""
        return self._text.encode_text(text)

    def submit(self, job: Job) -> None:
        """Queue a job; see `LoadedModel`."""
        self._arrivals.put(job)

    def active_sequences(self) -> int:
        """How many slots hold a sequence now."""
        return len(self._running)

    def last_beat(self) -> float:
        """When the thread last went round."""
        return self._beat

    def close(self) -> None:
        """Cancel what runs, end the thread and give the memory back."""
        self._closed = True
        self._arrivals.put(None)
        self._thread.join()
        del self._network
        release_memory()

    def _run(self) -> None:
        while not self._closed:
            self._beat = time.monotonic()
            self._receive(block=not (self._waiting or self._running))
            self._drop_cancelled()
            self._admit()
            self._guarded(self._prefill_one_chunk)
            self._guarded(self._decode_all)
        for answer in [*self._running, *self._waiting]:
            answer.end(FinishReason.CANCELLED)
        while not self._arrivals.empty():
            job = self._arrivals.get()
            if job is not None:
                _end_unstarted(job)

    def _receive(self, *, block: bool) -> None:
        try:
            job = self._arrivals.get(timeout=IDLE_WAIT_S) if block else self._arrivals.get_nowait()
            while job is not None:
                state = JobState(job=job, left=job.sampling.n)
                self._waiting.extend(
                    build_sequence(state, index, self._text) for index in range(job.sampling.n)
                )
                job = self._arrivals.get_nowait()
        except queue.Empty:
            pass

    def _drop_cancelled(self) -> None:
        for answer in [*self._running, *self._waiting]:
            if answer.job.cancelled.is_set():
                answer.end(FinishReason.CANCELLED)
        self._forget_ended()

    def _forget_ended(self) -> None:
        for answer in self._running:
            if answer.ended:
                self._table.release(answer.slot)
        self._running = [answer for answer in self._running if not answer.ended]
        if any(answer.ended for answer in self._waiting):
            self._waiting = deque(answer for answer in self._waiting if not answer.ended)

    def _admit(self) -> None:
        """Give free slots to waiting answers, oldest first; further ones of a job once its prompt is done."""
        kept: deque[Answer] = deque()
        while self._waiting and self._table.free:
            answer = self._waiting.popleft()
            if answer.index > 0 and not answer.state.prefilled:
                kept.append(answer)
                continue
            self._seat(answer)
        self._waiting.extendleft(reversed(kept))

    def _seat(self, answer: Answer) -> None:
        taken = self._table.take(answer.job.ids)
        if taken.source != taken.slot and taken.shared:
            self._network.copy_prefix(taken.source, taken.slot, taken.shared)
        answer.slot, answer.computed = taken.slot, taken.shared
        answer.state.cached_tokens += taken.shared
        self._running.append(answer)

    def _prefill_one_chunk(self) -> list[Answer]:
        prefilling = [answer for answer in self._running if answer.is_prefilling]
        if not prefilling:
            return []
        # The least left first: a short prompt overtakes a long one, which goes on right after it.
        answer = min(prefilling, key=lambda a: len(a.job.ids) - a.computed)
        return self._compute([answer], lambda: self._prefill_chunk(answer))

    def _prefill_chunk(self, answer: Answer) -> Tensor | None:
        started = time.monotonic()
        begin = answer.computed
        chunk = list(answer.job.ids[begin : begin + self._placement.prefill_chunk])
        torch.set_num_threads(self._placement.prefill_threads)
        logits = self._network.prefill(answer.slot, begin, chunk)
        answer.computed += len(chunk)
        self._table.add_prompt(answer.slot, chunk)
        answer.state.prefill_s += time.monotonic() - started
        if answer.is_prefilling:
            return None
        answer.state.prefilled = True
        answer.state.decode_started = answer.state.decode_started or time.monotonic()
        return logits[None]

    def _decode_all(self) -> list[Answer]:
        decoding = [answer for answer in self._running if not answer.is_prefilling]
        if not decoding:
            return []
        return self._compute(decoding, lambda: self._decode_step(decoding))

    def _decode_step(self, answers: Sequence[Answer]) -> Tensor:
        torch.set_num_threads(self._placement.decode_threads)
        logits = self._network.decode_step(
            [answer.slot for answer in answers],
            [answer.computed for answer in answers],
            [answer.last_token for answer in answers],
        )
        for answer in answers:
            answer.computed += 1
        return logits

    def _compute(self, answers: list[Answer], step: Callable[[], Tensor | None]) -> list[Answer]:
        """Run a step and give each answer its next token; return the answers that it concerned."""
        logits = step()  # (B, vocab)
        if logits is None:
            return answers
        finite = logits.isfinite().all(dim=-1).tolist()
        for answer, row, is_finite in zip(answers, logits, finite, strict=True):
            if not is_finite:
                self._table.forget(answer.slot)
                answer.fail(GeneratorError(f"the model {self.name} computed numbers that are not finite"))
                continue
            sampling = answer.job.sampling
            token = choose_token(
                row, temperature=sampling.temperature, top_p=sampling.top_p, generator=answer.random
            )
            answer.take_token(token, self._text, self.context_tokens)
        self._forget_ended()
        return answers

    def _guarded(self, step: Callable[[], list[Answer]]) -> None:
        """Run a step; an error ends the requests that were running and nothing else."""
        failure: AssistantError | None = None
        try:
            step()
        except Exception as error:
            failure = out_of_memory_error(error, "this request")
            if failure is None:
                log.exception("the engine failed")
                failure = GeneratorError(
                    "the generator failed inside; its log has the details", hint="see `assistant doctor`"
                )
        if failure is None:
            return
        for answer in self._running:
            self._table.forget(answer.slot)
            answer.fail(failure)
        self._forget_ended()
        release_memory()


def _end_unstarted(job: Job) -> None:
    for index in range(job.sampling.n):
        job.sink(Finished(index=index, reason=FinishReason.CANCELLED))
    job.sink(Ended())
