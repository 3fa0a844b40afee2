"""Which answers wait, which run, and who goes next. Knows slots; no tensors and no threads.

First come, first seated. The further answers of one job are seated once its prompt is computed, so that
they copy it instead of computing it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from assistant.engine.sequence import Answer
from assistant.engine.slots import SlotTable, Taken
from assistant.requests import FinishReason


class Schedule:
    """The answers of one network."""

    def __init__(self, table: SlotTable) -> None:
        self._table = table
        self._waiting: deque[Answer] = deque()
        self.running: list[Answer] = []
        """Those that hold a slot."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self._waiting or self.running)

    def add(self, answers: Iterable[Answer]) -> None:
        """Let answers wait for a slot."""
        self._waiting.extend(answers)

    def drop_cancelled(self) -> None:
        """End every answer whose job was cancelled."""
        for answer in [*self.running, *self._waiting]:
            if answer.job.cancelled.is_set():
                answer.end(FinishReason.CANCELLED)
        self.forget_ended()

    def cancel_all(self) -> None:
        """End every answer."""
        for answer in [*self.running, *self._waiting]:
            answer.end(FinishReason.CANCELLED)
        self.forget_ended()

    def forget_ended(self) -> None:
        """Free the slots of answers that have ended."""
        for answer in self.running:
            if answer.ended:
                self._table.release(answer.slot, [*answer.job.ids, *answer.tokens][: answer.computed])
        self.running = [answer for answer in self.running if not answer.ended]
        if any(answer.ended for answer in self._waiting):
            self._waiting = deque(answer for answer in self._waiting if not answer.ended)

    def find_next(self) -> Answer | None:
        """Take the answer that should be seated now, or return None where none can be."""
        if not self._table.free:
            return None
        for answer in self._waiting:
            if answer.index == 0 or answer.state.prefilled:
                self._waiting.remove(answer)
                return answer
        return None

    def seat(self, answer: Answer) -> Taken:
        """Give an answer a slot, which there must be."""
        taken = self._table.take(answer.job.ids)
        answer.slot, answer.computed = taken.slot, taken.shared
        answer.state.cached_tokens += taken.shared
        self.running.append(answer)
        return taken

    def find_prefilling(self) -> Answer | None:
        """Return the answer whose prompt goes on next.

        The one with the least left: a short prompt overtakes a long one, which goes on right after it.
        """
        prefilling = [answer for answer in self.running if answer.is_prefilling]
        return min(prefilling, key=lambda answer: answer.prompt_left, default=None)

    def find_decoding(self) -> list[Answer]:
        """Return the answers that are past their prompt."""
        return [answer for answer in self.running if not answer.is_prefilling]
