# pyright: basic
"""The decode loop: many jobs, one batch, one thread that alone touches the network.

Each turn of the loop computes what prompts are short, at most one chunk of a long one, and one decode step,
so that a short request never waits for a long prompt or a long answer. Knows no architecture and no wire
format.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from itertools import islice

import torch
from torch import Tensor

from assistant.engine.device import Placement
from assistant.engine.interface import Ended, Finished, Job
from assistant.engine.memory import out_of_memory_error, release_memory
from assistant.engine.network import Network
from assistant.engine.row_cost import RowCost
from assistant.engine.schedule import Schedule
from assistant.engine.sequence import Answer, JobState, build_answer
from assistant.engine.slots import SlotTable
from assistant.engine.text import ModelText
from assistant.engine.threads import ThreadChoice
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
        self._threads = ThreadChoice(placement.decode_threads)
        self._row_cost = RowCost()
        self._table = _build_table(network, placement)
        self._schedule = Schedule(self._table)
        self._arrivals: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._renew: Callable[[], Network] | None = None
        self._lost: AssistantError | None = None
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

    def forget_prompts(self) -> None:
        """Share no earlier prompt with a later one: what is asked next is cold. Only while nothing runs."""
        for slot in range(self.slots):
            self._table.forget(slot)

    def renew_when_idle(self, load: Callable[[], Network]) -> None:
        """Take another network in the place of this one as soon as nothing runs.

        Args:
            load: Called on the engine's thread once this network's memory is free again. If it raises,
                every request ends with an error until the model is loaded anew.
        """
        self._renew = load

    def active_sequences(self) -> int:
        """How many slots hold a sequence now."""
        return sum(not answer.ended for answer in self._schedule.running)

    def last_beat(self) -> float:
        """When the thread last went round."""
        return self._beat

    def close(self) -> None:
        """Cancel what runs, end the thread and give the memory back."""
        self._closed = True
        self._arrivals.put(None)
        self._thread.join()
        self.__dict__.pop("_network", None)
        release_memory()

    def _run(self) -> None:
        while not self._closed:
            self._beat = time.monotonic()
            self._receive(block=self._schedule.is_empty)
            self._schedule.drop_cancelled()
            if self._renew and self._schedule.is_empty:
                self._take_network(self._renew)
            while (answer := self._schedule.find_next()) is not None:
                self._guarded([answer], lambda seated=answer: self._seat(seated))
            while (answer := self._schedule.find_prefilling()) is not None:
                self._guarded([answer], lambda prefilling=answer: self._prefill_chunk(prefilling))
                if answer.is_prefilling:
                    break  # a long prompt goes on after the others' next token
            if decoding := self._schedule.find_decoding():
                self._guarded(decoding, lambda answers=decoding: self._decode_step(answers))
        self._schedule.cancel_all()
        while not self._arrivals.empty():
            job = self._arrivals.get()
            if job is not None:
                _end_unstarted(job)

    def _receive(self, *, block: bool) -> None:
        if not block and self._arrivals.empty():
            return
        try:
            job = self._arrivals.get(timeout=IDLE_WAIT_S) if block else self._arrivals.get_nowait()
            while job is not None and self._lost is None:
                state = JobState(job=job, left=job.sampling.n)
                self._schedule.add(
                    build_answer(state, index, self._text, self._network) for index in range(job.sampling.n)
                )
                job = self._arrivals.get_nowait()
            if job is not None:
                _end_unstarted(job, self._lost)
        except queue.Empty:
            pass

    def _take_network(self, load: Callable[[], Network]) -> None:
        self._renew = None
        del self._network  # two at once may not fit
        release_memory()
        try:
            self._network = load()
        except Exception as error:
            log.exception("the model %s could not be loaded again", self.name)
            self._lost = out_of_memory_error(error, f"the model {self.name}") or GeneratorError(
                f"the model {self.name} could not be loaded again", hint="`assistant stop`, then ask again"
            )
            return
        self._table = _build_table(self._network, self._placement)
        self._schedule = Schedule(self._table)
        self.slots, self.memory_bytes = self._network.slots, self._network.memory_bytes

    def _seat(self, answer: Answer) -> None:
        taken = self._schedule.seat(answer)
        if taken.source != taken.slot and taken.shared:
            self._network.copy_prefix(taken.source, taken.slot, taken.shared)

    def _prefill_chunk(self, answer: Answer) -> None:
        started = time.monotonic()
        if (more := self._table.share_more(answer.slot, answer.job.ids)) is not None:
            self._network.copy_prefix(more.source, answer.slot, more.shared)
            answer.state.cached_tokens += more.shared - answer.computed
            answer.computed = more.shared
        begin = answer.computed
        chunk = list(answer.job.ids[begin : begin + self._placement.prefill_chunk])
        torch.set_num_threads(self._placement.prefill_threads)
        logits = self._network.prefill(answer.slot, begin, chunk)  # (vocab,)
        answer.computed += len(chunk)
        self._table.add_prompt(answer.slot, chunk)
        answer.state.prefill_s += time.monotonic() - started
        if answer.is_prefilling:
            return
        answer.state.prefilled = True
        answer.state.decode_started = answer.state.decode_started or time.monotonic()
        self._take_tokens(answer, [logits], [])

    def _decode_step(self, answers: Sequence[Answer]) -> None:
        beside, row_cost = len(answers) - 1, self._row_cost.share
        guesses = [answer.guess(self.context_tokens, beside, row_cost) for answer in answers]
        rows = len(answers) + sum(map(len, guesses))
        threads = self._threads.choose(rows)
        torch.set_num_threads(threads)
        started = time.monotonic()
        logits = self._network.decode_step(
            [answer.slot for answer in answers],
            [answer.computed for answer in answers],
            [[answer.last_token, *guess] for answer, guess in zip(answers, guesses, strict=True)],
        )
        seconds = time.monotonic() - started
        self._threads.note(rows, seconds)
        self._row_cost.note(rows, threads, seconds)
        own = iter(logits.unbind())  # of (vocab,)
        for answer, guess in zip(answers, guesses, strict=True):
            self._take_tokens(answer, list(islice(own, 1 + len(guess))), guess)

    def _take_tokens(self, answer: Answer, logits: Sequence[Tensor], guess: Sequence[int]) -> None:
        """Choose a token from each row of logits, 1 + guessed of (vocab,), for as long as the guess holds.

        Each token is chosen as if nothing had been guessed, with the same random numbers: a guess changes
        how many are chosen in one step, and never which.
        """
        torch.set_num_threads(1)  # to wake another for one row's scores takes longer than to look at them
        accepted = 0
        for row, guessed in zip(logits, [*guess, None], strict=True):
            before = len(answer.tokens)
            try:
                token, scores = answer.choose(row)
            except FloatingPointError:
                self._table.forget(answer.slot)
                answer.fail(GeneratorError(f"the model {self.name} computed numbers that are not finite"))
                break
            answer.take_token(token, scores, self._text, self.context_tokens)
            if answer.ended or len(answer.tokens) != before + 1 or answer.last_token != guessed:
                break
            accepted += 1
        answer.computed = len(answer.job.ids) + len(answer.tokens) - 1  # all but the last token
        if answer.lookup:
            answer.lookup.note(len(guess), accepted)

    def _guarded(self, answers: Sequence[Answer], step: Callable[[], None]) -> None:
        """Run a step for these answers; an error in it ends them and nothing else."""
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
        if failure is not None:
            for answer in answers:
                if answer.slot >= 0:
                    self._table.forget(answer.slot)
                answer.fail(failure)
            release_memory()
        self._schedule.forget_ended()


def _build_table(network: Network, placement: Placement) -> SlotTable:
    unit = 1 if network.is_invariant else placement.prefill_chunk
    return SlotTable(network.slots, unit if network.keeps_prefixes else 0)


def _end_unstarted(job: Job, error: AssistantError | None = None) -> None:
    for index in range(job.sampling.n):
        job.sink(Finished(index=index, reason=FinishReason.CANCELLED))
    job.sink(Ended(error=error))
