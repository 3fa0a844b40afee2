# pyright: basic
"""One answer on its way: its slot, its tokens, its text. Of tensors it has scores and random numbers."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from torch import Tensor

from assistant import prompts
from assistant.engine.guard import Fault, open_reading
from assistant.engine.interface import Ended, Finished, Job, Piece
from assistant.engine.lookup import LONGEST, PromptLookup
from assistant.engine.network import Network
from assistant.engine.retrying import HeldLine
from assistant.engine.sampling import Draw, choose_token, penalize_repetition
from assistant.engine.text import ModelText, StopScanner, TextStream
from assistant.errors import AssistantError
from assistant.requests import FinishReason


@dataclass(slots=True, eq=False)
class JobState:
    """A job and what is left of it."""

    job: Job
    left: int
    """Answers that have not ended."""
    prefilled: bool = False
    """The first answer's prompt is in the cache, for the others to copy."""
    error: AssistantError | None = None
    taken_back: int = 0
    """Lines of code that were taken back, in all answers."""
    gave_up: int = 0
    """Answers in which a fault was left."""
    cached_tokens: int = 0
    prefill_s: float = 0.0
    decode_started: float = 0.0

    def end_one(self) -> None:
        """Count one answer as ended; the last ends the job."""
        self.left -= 1
        if self.left == 0:
            decode_s = time.monotonic() - self.decode_started if self.decode_started else 0.0
            self.job.sink(
                Ended(
                    error=self.error,
                    cached_tokens=self.cached_tokens,
                    prefill_s=self.prefill_s,
                    decode_s=decode_s,
                    taken_back=self.taken_back,
                    gave_up=self.gave_up,
                )
            )


@dataclass(slots=True, eq=False)
class Answer:
    """One of a job's answers."""

    state: JobState
    index: int
    """Which of the job's `n`."""
    text: TextStream
    scanner: StopScanner
    random: Random
    draw: Draw
    penalty: float
    """Of what is said again: the job's, else the model's own."""
    lookup: PromptLookup | None
    """None where the network cannot take a wrong guess back."""
    line: HeldLine | None
    """What the syntax guard can take back; None where it is off, or the network cannot."""
    slot: int = -1
    computed: int = 0
    """Positions of the cache that are filled."""
    last_token: int = -1
    """Chosen, but not yet in the cache."""
    unsent_tokens: int = 0
    ended: bool = False
    tokens: list[int] = field(default_factory=list)
    """All that were chosen and stand."""
    forced: list[int] = field(default_factory=list)
    """What is chosen next, whatever the scores: a line that was taken back and comes again."""
    _random_before: Any = None
    """The random numbers' state before a line was taken back."""

    @property
    def job(self) -> Job:
        """The job it answers."""
        return self.state.job

    @property
    def is_prefilling(self) -> bool:
        """Whether part of the prompt is still to be computed."""
        return self.computed < len(self.job.ids)

    @property
    def prompt_left(self) -> int:
        """Prompt tokens still to be computed."""
        return len(self.job.ids) - self.computed

    def room(self, context_tokens: int) -> int:
        """How many more tokens the answer may have."""
        longest = min(self.job.sampling.max_tokens, context_tokens - len(self.job.ids))
        return longest - len(self.tokens)

    def guess(self, context_tokens: int, beside: int, row_cost: float) -> list[int]:
        """Guess what comes after the next token, never past the end of the answer's room.

        Args:
            context_tokens: The model's.
            beside: Other answers in the step.
            row_cost: See `PromptLookup.guess`.
        """
        room = self.room(context_tokens) - 1
        if self.forced:
            return self.forced[: max(0, min(room, LONGEST))]
        return self.lookup.guess(room, beside, row_cost) if self.lookup else []

    def choose(self, logits: Tensor) -> tuple[int, Tensor]:
        """Choose the next token.

        Args:
            logits: (vocab,).

        Returns:
            It, and the scores that it was chosen from, (vocab,).

        Raises:
            FloatingPointError: They are not finite.
        """
        if self.penalty != 1:
            logits = penalize_repetition(logits, [*self.job.ids, *self.tokens], self.penalty)
        if self.forced:
            return self.forced.pop(0), logits
        return choose_token(logits, self.job.sampling, self.random, self.draw), logits

    def take_token(self, token: int, scores: Tensor, text: ModelText, context_tokens: int) -> None:
        """Append a chosen token, report its text and end the answer where it is due.

        Where the token ends a line that cannot be Python, the line is taken back as far as it must be, and
        another token stands in place of one of it.
        """
        while (fault := self._append(token, scores, text, context_tokens)) is not None:
            assert self.line is not None  # who else finds faults
            token, scores = self._take_back(self.line, fault, text)

    def end(self, reason: FinishReason) -> None:
        """Report the end, with whatever text was held back."""
        if self.ended:
            return
        self.ended = True
        rest = self.scanner.flush()
        if self.line:
            if reason is FinishReason.LENGTH and not rest:
                self.line.drop_unfinished()
            rest = self.line.flush() + rest
            self.state.taken_back += self.line.taken_back
            self.state.gave_up += self.line.gave_up
        if rest or self.unsent_tokens:
            self._send(rest)
        self.job.sink(Finished(index=self.index, reason=reason))
        self.state.end_one()

    def fail(self, error: AssistantError) -> None:
        """End with an error, which becomes the job's."""
        self.state.error = self.state.error or error
        self.end(FinishReason.CANCELLED)

    def _append(self, token: int, scores: Tensor, text: ModelText, context_tokens: int) -> Fault | None:
        """Take a token, or say why what it ends cannot stand."""
        is_end = token in text.end_ids
        if self.line:
            self.line.hold(token, scores, self.scanner.held, len(self.tokens))
        if is_end:
            fault = self.line.find_unfinished() if self.line else None
            if fault is None:
                self.end(FinishReason.STOP)
            return fault
        self.last_token = token
        self.tokens.append(token)
        self.unsent_tokens += 1
        if self.lookup:
            self.lookup.push(token)
        added = self.text.push(token)
        shown = self.scanner.push(added)
        if self.line and not self.scanner.stopped:
            read = self.line.read(added, shown)
            if isinstance(read, Fault):
                return read
            shown = read
        elif self.line:
            shown = self.line.flush() + shown
        if shown:
            self._send(shown)
        if self.scanner.stopped:
            self.end(FinishReason.STOP)
        elif self.room(context_tokens) <= 0:
            self.end(FinishReason.LENGTH)
        return None

    def _take_back(self, line: HeldLine, fault: Fault, text: ModelText) -> tuple[int, Tensor]:
        """Go back in the line that is held, and return the token to go on with and its scores."""
        if not line.tries:
            self._random_before = self.random.getstate()
        fork = line.find_fork(fault)
        if fork is not None:
            held = line.take_back(fork)
            token = choose_token(held.scores, self.job.sampling, self.random, self.draw)
        else:
            held, (token, *self.forced) = line.give_up()
            self.random.setstate(self._random_before)
        self.unsent_tokens -= len(self.tokens) - held.place
        del self.tokens[held.place :]
        if self.lookup:
            self.lookup.cut(len(self.job.ids) + held.place)
        self.scanner.held = held.stops
        self.text = text.open_stream()
        for kept in self.tokens:
            self.text.push(kept)
        return token, held.scores

    def _send(self, text: str) -> None:
        held = len(self.line.tokens) if self.line else 0
        self.job.sink(Piece(index=self.index, text=text, tokens=self.unsent_tokens - held))
        self.unsent_tokens = held


def build_answer(state: JobState, index: int, text: ModelText, network: Network) -> Answer:
    """Make the answer number `index` of a job for a network. Its seed is the job's plus its number."""
    sampling = state.job.sampling
    penalty = sampling.repetition_penalty
    reading = open_reading(is_all_code=text.prompt_format != prompts.CHAT)
    return Answer(
        state=state,
        index=index,
        text=text.open_stream(),
        scanner=StopScanner(sampling.stop),
        random=Random((sampling.seed or 0) + index),
        draw=network.draw,
        penalty=text.repetition_penalty if penalty is None else penalty,
        lookup=PromptLookup(state.job.ids) if network.keeps_prefixes else None,
        line=HeldLine(reading=reading) if sampling.syntax_guard and network.keeps_prefixes else None,
    )
