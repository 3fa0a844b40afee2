# pyright: basic
"""One answer on its way: its slot, its tokens, its text. Knows no tensors but its random numbers."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from assistant.engine.interface import Ended, Finished, Job, Piece
from assistant.engine.lookup import PromptLookup
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
    random: torch.Generator
    lookup: PromptLookup | None
    """None where the network cannot take a wrong guess back."""
    slot: int = -1
    computed: int = 0
    """Positions of the cache that are filled."""
    last_token: int = -1
    """Chosen, but not yet in the cache."""
    new_tokens: int = 0
    unsent_tokens: int = 0
    ended: bool = False

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
        return longest - self.new_tokens

    def guess(self, context_tokens: int) -> list[int]:
        """Guess what comes after the next token, never past the end of the answer's room."""
        return self.lookup.guess(self.room(context_tokens) - 1) if self.lookup else []

    def take_token(self, token: int, text: ModelText, context_tokens: int) -> None:
        """Append a chosen token, report its text and end the answer where it is due."""
        if token in text.end_ids:
            self.end(FinishReason.STOP)
            return
        self.last_token = token
        self.new_tokens += 1
        self.unsent_tokens += 1
        if self.lookup:
            self.lookup.push(token)
        shown = self.scanner.push(self.text.push(token))
        if shown:
            self._send(shown)
        if self.scanner.stopped:
            self.end(FinishReason.STOP)
        elif self.room(context_tokens) <= 0:
            self.end(FinishReason.LENGTH)

    def end(self, reason: FinishReason) -> None:
        """Report the end, with whatever text was held back."""
        if self.ended:
            return
        self.ended = True
        rest = self.scanner.flush()
        if rest or self.unsent_tokens:
            self._send(rest)
        self.job.sink(Finished(index=self.index, reason=reason))
        self.state.end_one()

    def fail(self, error: AssistantError) -> None:
        """End with an error, which becomes the job's."""
        self.state.error = self.state.error or error
        self.end(FinishReason.CANCELLED)

    def _send(self, text: str) -> None:
        self.job.sink(Piece(index=self.index, text=text, tokens=self.unsent_tokens))
        self.unsent_tokens = 0


def build_answer(state: JobState, index: int, text: ModelText, *, can_guess: bool) -> Answer:
    """Make the answer number `index` of a job. Its seed is the job's plus its number."""
    sampling = state.job.sampling
    random = torch.Generator()
    random.manual_seed(((sampling.seed or 0) + index) % 2**63)
    return Answer(
        state=state,
        index=index,
        text=text.open_stream(),
        scanner=StopScanner(sampling.stop),
        random=random,
        lookup=PromptLookup(state.job.ids) if can_guess else None,
    )
