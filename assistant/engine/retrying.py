# pyright: basic
"""Holds back the line of code that is being written, and chooses where it begins to differ when it is wrong.

So are the lines since a bracket was opened: that it was not closed shows only in a line after it. The token
to change is the one that had the closest rival, of those that the fault can lie in, those near it first: what
is written instead is a likely line. Knows scores and readings; no cache and no network.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from assistant.engine.guard import Fault, Reading, close_reading, find_fault, find_unfinished, read_on

LINE_TRIES = 6
"""Other lines tried in one place."""
ANSWER_TRIES = 16
"""And in one answer: what the guard may cost has an end."""
PULL = 0.2
"""How much likelier, as a logarithm, a rival must be for each token that it stands further from the fault."""
NEAR_TRIES = 2
"""The first tries mend near the fault. The others, freely, begin another line wherever that is likeliest."""
LONGEST_LINE = 64
"""Tokens held back at most, of lines within brackets as well. The scores of each are kept: 200 KB for a
vocabulary of 50,000 tokens."""


@dataclass(slots=True, kw_only=True)
class HeldToken:
    """A token that can be taken back, and what things were like before it."""

    token: int
    scores: Tensor
    """(vocab,), what it was chosen from. Tokens that were tried in its place have none left."""
    reading: Reading
    stops: str
    """What the stop scanner held back."""
    shown: int
    """Characters held back."""
    place: int
    """Tokens of the answer."""

    def rival_gap(self) -> float:
        """How much likelier the token was than the best that has not been tried in its place, as a logarithm.

        Below 0 where a likelier one was not drawn.
        """
        best = torch.topk(self.scores, 2)
        rival = best.values[1] if int(best.indices[0]) == self.token else best.values[0]
        return float(self.scores[self.token] - rival)


@dataclass(slots=True, kw_only=True)
class HeldLine:
    """The end of an answer, as far as it can be taken back."""

    reading: Reading
    text: str = ""
    """What is not shown yet."""
    tokens: list[HeldToken] = field(default_factory=list)
    taken_back: int = 0
    """Lines taken back so far."""
    gave_up: bool = False
    """A fault was left in, since no line that was tried is without one."""
    _first: list[int] | None = None
    """The line as it was at first, where others have been tried."""
    tries: int = 0
    """Other lines tried in this place."""

    def hold(self, token: int, scores: Tensor, stops: str, place: int) -> None:
        """Note a token that may have to be taken back, before it is read."""
        if self.reading.is_code:
            before = {"reading": self.reading, "stops": stops, "shown": len(self.text), "place": place}
            self.tokens.append(HeldToken(token=token, scores=scores, **before))

    def read(self, text: str, shown: str) -> str | Fault:
        """Read what the token held last adds.

        Args:
            text: All of it.
            shown: What of it, and of what the stop scanner held back, may be shown.

        Returns:
            What can be shown now, or why the line must be taken back.
        """
        after = read_on(self.reading, text)
        if isinstance(after, Fault):
            if self.tokens:
                return after
            after, self.gave_up = close_reading(self.reading), True
        self.reading = after
        kept = 0
        if after.is_code and len(self.tokens) <= LONGEST_LINE:
            if "\n" not in text or after.is_open:
                self.text += shown
                return ""
            kept = 1 if self.tokens else 0
        return self._release(shown, kept)

    def find_unfinished(self) -> Fault | None:
        """Say why the answer cannot end here."""
        return find_unfinished(self.reading)

    def find_fork(self, fault: Fault) -> int | None:
        """Return which of the held tokens to change; None where enough has been tried."""
        if self.tries >= LINE_TRIES or self.taken_back >= ANSWER_TRIES or not self.tokens:
            return None
        end = len(self.tokens)
        if fault.end is not None:
            # The first may be the end of the line before, with the indentation of this one.
            later = range(1, end)
            code = self.tokens[-1].reading.code  # all but the last line
            end = next(
                (
                    at for at in later
                    if self.tokens[at].reading.code == code and len(self.tokens[at].reading.line) >= fault.end
                ), end,
            )  # fmt: skip
        pull = PULL if self.tries < NEAR_TRIES else 0.0
        return min(range(end), key=lambda at: self.tokens[at].rival_gap() + pull * (end - at))

    def take_back(self, at: int) -> HeldToken:
        """Go back to before a held token, which is not chosen again there."""
        self._first = self._first or [held.token for held in self.tokens]
        self.tries += 1
        self.taken_back += 1
        held = self._go_back(at)
        held.scores = held.scores.clone()  # seldom: what the network computed is nobody's to write to
        held.scores[held.token] = -torch.inf
        return held

    def give_up(self) -> tuple[HeldToken, list[int]]:
        """Check nothing more. Return where to go back to, and the tokens that were there at first."""
        first = self._first or [held.token for held in self.tokens]
        held = self._go_back(0)
        self.gave_up, self.reading = True, close_reading(self.reading)
        return held, first

    def drop_unfinished(self) -> None:
        """Leave what is held away where it is cut off, and the code is Python without it but not with it."""
        if len(self.tokens) < 2 or self.find_unfinished() is None:
            return
        before = self.tokens[1].reading
        if before.code and not before.line.strip() and find_fault(before.code, is_whole=True) is None:
            self._go_back(1)

    def flush(self) -> str:
        """Return what was held back: the answer ends."""
        return self._release("", 0)

    def _go_back(self, at: int) -> HeldToken:
        held = self.tokens[at]
        del self.tokens[at:]
        self.reading, self.text = held.reading, self.text[: held.shown]
        return held

    def _release(self, shown: str, kept: int) -> str:
        """Let go of all but so many tokens at the end, and return their text."""
        text = self.text + shown
        place = self.tokens[-1].shown if kept else len(text)
        self.tokens = self.tokens[len(self.tokens) - kept :]
        for held in self.tokens:
            held.shown = 0
        self.text = text[place:]
        self._first, self.tries = None, 0
        return text[:place]
