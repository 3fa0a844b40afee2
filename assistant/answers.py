"""Events in, one whole answer out. Knows nothing of where the events come from or who shows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from assistant.errors import AssistantError
from assistant.requests import AnswerEnded, Done, Event, Failed, FinishReason, Started, Token, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one request, a cut-off or failed one included."""

    texts: tuple[str, ...]
    """One for each of the `n` answers, as far as it came."""
    finish_reasons: tuple[FinishReason, ...]
    """One for each text. `cancelled` where the events stopped before their end."""
    usage: Usage | None = None
    model: str = ""
    request_id: str = ""
    seed: int | None = None
    seconds: float = 0.0
    """From the request to the end; 0 where it did not end well."""
    tokens_per_s: float | None = None
    error: AssistantError | None = None
    """Why there is no more text; None where all went well or somebody stopped it."""

    @property
    def text(self) -> str:
        """The first of the texts."""
        return self.texts[0]


class AnswerBuilder:
    """Collects an answer while its events go by."""

    def __init__(self) -> None:
        self._pieces: dict[int, list[str]] = {0: []}
        self._started: Started | None = None
        self._reasons: dict[int, FinishReason] = {}
        self._end: Done | Failed | None = None

    def add(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case Token(text=text, index=index):
                self._pieces.setdefault(index, []).append(text)
            case AnswerEnded(index=index, finish_reason=reason):
                self._reasons[index] = reason
            case Started():
                self._started = event
            case Done() | Failed():
                self._end = event
            case _:
                pass

    def build(self) -> Answer:
        """Return what has come so far."""
        reasons = self._end.finish_reasons if isinstance(self._end, Done) else ()
        count = max(max(self._pieces) + 1, len(reasons))
        texts = tuple("".join(self._pieces.get(index, ())) for index in range(count))
        reasons += tuple(
            self._reasons.get(index, FinishReason.CANCELLED) for index in range(len(reasons), count)
        )
        request_id = self._started.request_id if self._started else ""
        model = self._started.model if self._started else ""
        match self._end:
            case Done(usage=usage, seed=seed, seconds=seconds, tokens_per_s=tokens_per_s):
                return Answer(
                    texts=texts,
                    finish_reasons=reasons,
                    usage=usage,
                    model=self._end.model or model,
                    request_id=request_id,
                    seed=seed,
                    seconds=seconds,
                    tokens_per_s=tokens_per_s,
                )
            case Failed(error=error):
                return Answer(
                    texts=texts, finish_reasons=reasons, model=model, request_id=request_id, error=error
                )
            case None:
                return Answer(texts=texts, finish_reasons=reasons, model=model, request_id=request_id)


def collect_answer(events: Iterable[Event]) -> Answer:
    """Read a stream of events to its end."""
    builder = AnswerBuilder()
    for event in events:
        builder.add(event)
    return builder.build()
