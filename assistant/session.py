"""A conversation as it goes on: what is asked next, with which earlier turns, and what came of it.

Values alone: it sends nothing, stores nothing and knows no screen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from assistant.answers import Answer
from assistant.errors import AssistantError
from assistant.history.records import Exchange, Outcome, new_id
from assistant.requests import FinishReason, Request, Role, Sampling, Turn

MAX_EARLIER_CHARS = 12_000
"""Of earlier tasks, inputs and answers together: about 4,000 tokens, so that the new task has room."""


class Session:
    """One conversation.

    Args:
        source: The front end, for the history: ask or chat.
        exchanges: What was said so far, oldest first, when it is taken up again.
        now: The time in seconds since the epoch.
    """

    def __init__(
        self, source: str, exchanges: Iterable[Exchange] = (), *, now: Callable[[], float] = time.time
    ) -> None:
        self._source = source
        self._now = now
        self.exchanges = list(exchanges)
        self.conversation = self.exchanges[-1].conversation if self.exchanges else new_id()
        """The id of the conversation."""

    def begin(self, task: str, input_text: str = "", *, sampling: Sampling, model: str = "") -> Exchange:
        """Add a task that is about to be sent."""
        return self._add(task, input_text, sampling=sampling, model=model, variant_of="")

    def begin_variant(self, earlier: Exchange, *, sampling: Sampling, model: str = "") -> Exchange:
        """Add the task of an earlier exchange once more."""
        root = earlier.variant_of or earlier.id
        return self._add(earlier.task, earlier.input, sampling=sampling, model=model, variant_of=root)

    def put(self, exchange: Exchange) -> None:
        """Replace an exchange by its newer state."""
        for number, known in enumerate(self.exchanges):
            if known.id == exchange.id:
                self.exchanges[number] = exchange
                return

    def find_before(self, exchange: Exchange) -> Exchange | None:
        """Return the exchange before one that has an answer, or None where there is none."""
        answered: Exchange | None = None
        for known in self.exchanges:
            if known.id == exchange.id:
                return answered
            if known.answer:
                answered = known
        return answered

    def build_request(self, exchange: Exchange, *, earlier_turns: int) -> Request:
        """Build what is sent for an exchange of this conversation.

        A task with an input says all there is to say; one without may speak of what was said before.

        Args:
            exchange: It.
            earlier_turns: How many earlier exchanges go along at most.
        """
        earlier = () if exchange.input else self.earlier_turns(exchange, count=earlier_turns)
        # A file's last line end is no part of what it says, and would be a blank line in the prompt.
        asked = Turn(role=Role.USER, text=exchange.task, input=exchange.input.rstrip("\n"))
        return Request(turns=(*earlier, asked), sampling=exchange.sampling, model=exchange.model)

    def earlier_turns(self, exchange: Exchange, *, count: int) -> tuple[Turn, ...]:
        """Return the turns of so many exchanges before one, fewer where they are too long."""
        turns: tuple[Turn, ...] = ()
        chars = 0
        for known in reversed(self._earlier(exchange)[-count:] if count else []):
            chars += len(known.task) + len(known.input) + len(known.answer)
            if chars > MAX_EARLIER_CHARS:
                break
            turns = (*_turns_of(known), *turns)
        return turns

    def _earlier(self, exchange: Exchange) -> list[Exchange]:
        """Return one answer for each earlier task, the last one that was given."""
        root = exchange.variant_of or exchange.id
        answers: dict[str, Exchange] = {}
        for known in self.exchanges:
            if root in (known.id, known.variant_of):
                break
            if known.answer and known.outcome is not Outcome.FAILED:
                answers[known.variant_of or known.id] = known
        return list(answers.values())

    def _add(
        self, task: str, input_text: str, *, sampling: Sampling, model: str, variant_of: str
    ) -> Exchange:
        exchange = Exchange(
            id=new_id(),
            conversation=self.conversation,
            started=self._now(),
            task=task,
            input=input_text,
            sampling=sampling,
            model=model,
            source=self._source,
            variant_of=variant_of,
        )
        self.exchanges.append(exchange)
        return exchange


def finish_exchange(exchange: Exchange, answer: Answer) -> Exchange:
    """Return an exchange with the end of its answer."""
    sampling = exchange.sampling
    if answer.seed is not None:
        sampling = replace(sampling, seed=answer.seed)
    return replace(
        exchange,
        answer=answer.text,
        outcome=_outcome_of(answer),
        error=_words_of(answer.error),
        model=answer.model or exchange.model,
        sampling=sampling,
        usage=answer.usage,
        seconds=answer.seconds,
        tokens_per_s=answer.tokens_per_s,
    )


def _outcome_of(answer: Answer) -> Outcome:
    if answer.error is not None:
        return Outcome.FAILED
    match answer.finish_reasons[0]:
        case FinishReason.STOP:
            return Outcome.STOP
        case FinishReason.LENGTH:
            return Outcome.LENGTH
        case FinishReason.CANCELLED:
            return Outcome.CANCELLED


def _words_of(error: AssistantError | None) -> str:
    if error is None:
        return ""
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _turns_of(exchange: Exchange) -> tuple[Turn, Turn]:
    return (
        Turn(role=Role.USER, text=exchange.task, input=exchange.input),
        Turn(role=Role.ASSISTANT, text=exchange.answer),
    )
