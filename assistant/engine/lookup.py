"""Prompt lookup: guess the next tokens of an answer from what came before, since edits repeat their input.

A guess costs nothing but the rows it adds to a decode step, and every guessed token is checked against the
model's own choice: the answer never changes. Knows tokens; no tensors and no text. The method is prompt
lookup decoding (Saxena, 2023); no second model is involved.
"""

from __future__ import annotations

from collections.abc import Sequence

NGRAM = 4
"""Tokens that must match. Checking a wrong guess costs about one more step, so it takes a good reason."""
LONGEST = 7
"""Tokens guessed at most. On a CPU a step with them takes 2.6 times one without; longer ones gain no more."""
PATIENCE = 3
"""Guesses without a hit before it pauses."""
PAUSE = 32
"""Tokens that a pause lasts."""


class PromptLookup:
    """The guesses for one sequence.

    Args:
        ids: The prompt.
    """

    def __init__(self, ids: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._places: dict[tuple[int, ...], int] = {}
        self._length = LONGEST
        self._misses = 0
        self._paused = 0
        self.guessed = 0
        """Tokens guessed so far."""
        self.accepted = 0
        """Of these, the ones that the model chose too."""
        for token in ids:
            self.push(token)

    def push(self, token: int) -> None:
        """Append a token of the prompt or the answer."""
        # The last n-gram is filed only now, when it has a successor: it must not find itself.
        if len(self._tokens) >= NGRAM:
            self._places[tuple(self._tokens[-NGRAM:])] = len(self._tokens)
        self._tokens.append(token)
        self._paused = max(0, self._paused - 1)

    def cut(self, length: int) -> None:
        """Forget all tokens but the first. Where they led stays a guess, as any."""
        del self._tokens[length:]

    def guess(self, room: int) -> list[int]:
        """Return the tokens that followed the last few the last time, at most `room`; often none."""
        if self._paused or len(self._tokens) < NGRAM or room <= 0:
            return []
        place = self._places.get(tuple(self._tokens[-NGRAM:]))
        if place is None:
            return []
        return self._tokens[place : place + min(self._length, room)]

    def note(self, guessed: int, accepted: int) -> None:
        """Learn how a guess did: a full hit makes the next longer, a miss shorter, misses in a row pause."""
        if not guessed:
            return
        self.guessed += guessed
        self.accepted += accepted
        if accepted == guessed:
            self._length = min(LONGEST, self._length + 2)
        elif accepted <= guessed // 2:
            self._length = max(2, self._length // 2)
        self._misses = 0 if accepted else self._misses + 1
        if self._misses >= PATIENCE:
            self._misses, self._paused = 0, PAUSE
