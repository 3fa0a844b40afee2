"""Prompt lookup: guess the next tokens of an answer from what came before, since edits repeat their input.

A guess costs nothing but the rows it adds to a decode step, and every guessed token is checked against the
model's own choice: the answer never changes. Knows tokens; no tensors and no text. The method is prompt
lookup decoding (Saxena, 2023); no second model is involved. How many tokens are guessed is what promises most
tokens for the time, by how often such guesses held so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHORTEST_MATCH, LONGEST_MATCH = 2, 10
"""Tokens that must be the same before a guess, and beyond which more of them say nothing more."""
PLACES = 8
"""Places that are compared, the latest ones."""
LONGEST = 11
"""Tokens guessed at most."""
ROW_COST = 0.2
"""What a row adds to a decode step, as a share of a step with one row, before it is known."""
TOKEN_COST = 0.07
"""What choosing and reading a token takes, likewise."""
PRIORS = {2: 0.5, 3: 0.65, 4: 0.8, 6: 0.88, 10: 0.95}
"""How likely a guessed token holds, by the least number of same tokens: in edits by a 135M model."""
PRIOR_WEIGHT = 4
"""Guessed tokens that outweigh a prior."""
DECAY = 0.9
"""What a guess's weight becomes with each later one: a piece of text is unlike the one before."""


@dataclass(slots=True)
class _Record:
    """How guesses after so many same tokens did."""

    prior: float
    held: float = 0.0
    tried: float = 0.0

    def chance(self) -> float:
        """How likely the next guessed token holds."""
        return (self.held + PRIOR_WEIGHT * self.prior) / (self.tried + PRIOR_WEIGHT)

    def note(self, held: int, tried: int) -> None:
        """Add a guess; of none, the older ones only lose weight, so that it is tried again some time."""
        self.held = DECAY * self.held + held
        self.tried = DECAY * self.tried + tried


class PromptLookup:
    """The guesses for one sequence.

    Args:
        ids: The prompt.
    """

    def __init__(self, ids: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._places: dict[tuple[int, ...], list[int]] = {}
        self._records = {least: _Record(prior) for least, prior in PRIORS.items()}
        self._record = self._records[SHORTEST_MATCH]
        """Of the last guess."""
        self.guessed = 0
        """Tokens guessed so far."""
        self.accepted = 0
        """Of these, the ones that the model chose too."""
        for token in ids:
            self.push(token)

    def push(self, token: int) -> None:
        """Append a token of the prompt or the answer."""
        # The last tokens are filed only now, when they have a successor: they must not find themselves.
        if len(self._tokens) >= SHORTEST_MATCH:
            places = self._places.setdefault(tuple(self._tokens[-SHORTEST_MATCH:]), [])
            places.append(len(self._tokens))
            del places[:-PLACES]
        self._tokens.append(token)

    def cut(self, length: int) -> None:
        """Forget all tokens but the first. Where they led stays a guess, as any."""
        del self._tokens[length:]

    def guess(self, room: int, beside: int = 0, row_cost: float = ROW_COST) -> list[int]:
        """Return the tokens that followed where most of the last ones were the same; often none.

        Args:
            room: Tokens at most.
            beside: Other sequences in the same step. The more, the less a row of their own saves.
            row_cost: What a row adds to a step, as a share of a step with one row.
        """
        place, match = self._find_place()
        if not match or room <= 0:
            return []
        self._record = next(record for least, record in reversed(self._records.items()) if match >= least)
        length = choose_length(self._record.chance(), beside, row_cost)
        if not length:
            self._record.note(0, 0)
        return self._tokens[place : place + min(length, room)]

    def note(self, guessed: int, accepted: int) -> None:
        """Learn how the last guess did."""
        if not guessed:
            return
        self.guessed += guessed
        self.accepted += accepted
        self._record.note(accepted, accepted + (accepted < guessed))

    def _find_place(self) -> tuple[int, int]:
        """Return where the longest match goes on, the latest of these, and how long it is, 0 for none."""
        tokens = self._tokens
        best, longest = 0, 0
        for place in reversed(self._places.get(tuple(tokens[-SHORTEST_MATCH:]), ())):
            if place >= len(tokens):
                continue  # it was cut off since
            match = SHORTEST_MATCH
            while match < min(LONGEST_MATCH, place) and tokens[place - match - 1] == tokens[-match - 1]:
                match += 1
            if match > longest:
                best, longest = place, match
        return best, longest


def choose_length(chance: float, beside: int, row_cost: float = ROW_COST) -> int:
    """Return the number of guessed tokens with the most tokens for the time.

    Args:
        chance: That a token holds if those before it did.
        beside: Other sequences in the step, one row each.
        row_cost: What a row adds to a step, as a share of a step with one row.
    """
    share = (1 + row_cost * beside) / (1 + beside)
    best, length = 1 / (share + TOKEN_COST), 0
    tokens, holds = 1.0, 1.0
    for number in range(1, LONGEST + 1):
        holds *= chance
        tokens += holds
        speed = tokens / (share + row_cost * number + TOKEN_COST * tokens)
        if speed > best:
            best, length = speed, number
    return length
