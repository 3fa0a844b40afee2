"""One answer while it comes: what is new to show, how far it is, what the history should hold. No widgets."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from assistant.answers import AnswerBuilder
from assistant.generator import TextGenerator
from assistant.history.records import Exchange, Outcome
from assistant.requests import AnswerEnded, Done, Event, Failed, Loading, Request, Started, Token
from assistant.session import finish_exchange
from tui.streaming import Pump, Report

CHECKPOINT_S = 1.0
"""A kill loses at most so much of a partial answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an answer is."""

    stage: str = ""
    """What is waited for before the first token; empty after it."""
    fraction: float | None = None
    """How much of the stage is done, 0 to 1, where that is known."""
    tokens: int = 0
    seconds: float = 0.0
    """Since it was asked for."""
    tokens_per_s: float | None = None
    """Since the first token."""


class Answering:
    """An answer that is being made.

    Args:
        find_generator: Returns the generator, reporting what that waits for; called on another thread.
        request: What to ask it.
        exchange: What the answer belongs to.
        now: A clock in seconds.
    """

    def __init__(
        self,
        find_generator: Callable[[Report], TextGenerator],
        request: Request,
        exchange: Exchange,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pump = Pump(lambda report: find_generator(report).stream(request))
        self._builder = AnswerBuilder()
        self._exchange = exchange
        self._now = now
        self._began = now()
        self._first_token = 0.0
        self._last_token = 0.0
        self._checkpoint = self._began
        self._tokens = 0
        self._loading = Loading(stage="asking the generator")
        self._text: list[str] = []
        self.is_over = False
        """Whether nothing more will come."""
        self._pump.start()

    @property
    def exchange(self) -> Exchange:
        """The exchange as it stands."""
        return self._exchange

    @property
    def has_text(self) -> bool:
        """Whether any of the answer has come."""
        return bool(self._text)

    def advance(self) -> str:
        """Take what has come and return the new text."""
        events, self.is_over = self._pump.take()
        pieces = [piece for event in events if (piece := self._take(event))]
        self._text += pieces
        if self.is_over:
            self._finish()
        return "".join(pieces)

    def stop(self) -> None:
        """Stop generating; the end comes with one of the next calls of `advance`."""
        self._pump.stop()

    def abandon(self, *, timeout_s: float = 2.0) -> Exchange:
        """Stop and return the exchange with what has come: the program ends."""
        self._pump.stop()
        self._pump.join(timeout_s)
        if not self.is_over:
            self.advance()
        if not self.is_over:
            self._finish()
        return self._exchange

    def find_checkpoint(self) -> Exchange | None:
        """Return the exchange as it stands, for the history, once in a while; None in between."""
        if self.is_over or not self._text or self._now() < self._checkpoint + CHECKPOINT_S:
            return None
        self._checkpoint = self._now()
        return replace(self._exchange, answer="".join(self._text), outcome=Outcome.UNFINISHED)

    def progress(self) -> Progress:
        """Return how far it is."""
        seconds = self._now() - self._began
        if not self._tokens:
            return Progress(stage=self._loading.stage, fraction=self._loading.fraction, seconds=seconds)
        spent = self._last_token - self._first_token
        speed = (self._tokens - 1) / spent if spent > 0 else None
        return Progress(tokens=self._tokens, seconds=seconds, tokens_per_s=speed)

    def _take(self, event: Event) -> str:
        self._builder.add(event)
        match event:
            case Loading():
                self._loading = event
            case Started(model=model):
                self._loading = Loading(stage="reading the task")
                self._exchange = replace(self._exchange, model=model or self._exchange.model)
            case Token(text=text, index=0):
                self._last_token = self._now()
                self._first_token = self._first_token or self._last_token
                self._tokens += 1
                return text
            case Token() | AnswerEnded() | Done() | Failed():
                pass
        return ""

    def _finish(self) -> None:
        answer = self._builder.build()
        if not answer.seconds:
            answer = replace(answer, seconds=self._now() - self._began)
        if answer.tokens_per_s is None:
            answer = replace(answer, tokens_per_s=self.progress().tokens_per_s)
        self._exchange = finish_exchange(self._exchange, answer)
