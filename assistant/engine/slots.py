"""Which sequence sits in which slot, and which prompt beginnings the cache still holds.

An answer is the same with and without sharing, bit by bit. So where a token's numbers depend on what is
computed beside it, only whole prefill chunks of prompts are shared: those are always computed from the same
rows. Where they do not, every token is, those of answers as well. Knows no tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Slot:
    """One row of the cache."""

    number: int
    busy: bool = False
    prompt: list[int] = field(default_factory=list[int])
    """The tokens in its cache that may be shared: of a prompt, and of its answer when that is over."""
    used: int = 0
    """When it was taken last, counted in takings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A slot for a new sequence."""

    slot: int
    source: int
    """The slot that holds the shared beginning; `slot` itself where nothing needs to be copied."""
    shared: int
    """Tokens of the prompt that need not be computed, a multiple of the unit."""


class SlotTable:
    """All slots of a network.

    Args:
        slots: How many.
        unit: So many tokens, or a multiple, are shared; 0 for none at all.
    """

    def __init__(self, slots: int, unit: int) -> None:
        self._slots = [Slot(number) for number in range(slots)]
        self._unit = unit
        self._takings = 0

    @property
    def free(self) -> int:
        """Slots without a sequence."""
        return sum(not slot.busy for slot in self._slots)

    def take(self, prompt: Sequence[int]) -> Taken:
        """Give a free slot to a sequence: the one that shares most, unless more would be lost than shared.

        Else the one unused longest, to which the beginning is copied.
        """
        shared = {slot.number: self._shared(slot, prompt) for slot in self._slots}
        source = max(self._slots, key=lambda slot: (shared[slot.number], not slot.busy))
        free = [slot for slot in self._slots if not slot.busy]
        oldest = min(free, key=lambda slot: (bool(slot.prompt), slot.used))
        keeps_most = 2 * shared[source.number] >= len(source.prompt)
        target = source if source in free and keeps_most else oldest
        if shared[source.number] == 0:
            target = source = oldest
        self._takings += 1
        target.busy, target.used = True, self._takings
        count = shared[source.number]
        target.prompt = list(prompt[:count])
        return Taken(slot=target.number, source=source.number, shared=count)

    def share_more(self, slot: int, prompt: Sequence[int]) -> Taken | None:
        """Find a longer beginning for a sequence whose prompt is being computed, and note it as its own.

        What came at the same time may have computed it by now. Returns None where there is none.
        """
        own = self._slots[slot]
        others = (other for other in self._slots if other is not own)
        source = max(others, key=lambda other: self._shared(other, prompt), default=own)
        count = self._shared(source, prompt)
        if count <= len(own.prompt):
            return None
        own.prompt = list(prompt[:count])
        return Taken(slot=slot, source=source.number, shared=count)

    def add_prompt(self, slot: int, ids: Sequence[int]) -> None:
        """Note that these prompt tokens are in the cache now."""
        self._slots[slot].prompt.extend(ids)

    def release(self, slot: int, held: Sequence[int] = ()) -> None:
        """A sequence has ended. What its slot holds stays good for sharing.

        Args:
            slot: Which.
            held: All tokens of prompt and answer that its cache holds.
        """
        own = self._slots[slot]
        own.busy = False
        if self._unit == 1 and own.prompt:  # else it was forgotten
            own.prompt = list(held) or own.prompt

    def forget(self, slot: int) -> None:
        """What a slot holds cannot be trusted any more."""
        self._slots[slot].prompt = []

    def _shared(self, slot: Slot, prompt: Sequence[int]) -> int:
        if not self._unit:
            return 0
        # At least one token is computed: its logits choose the first token of the answer.
        longest = min(len(slot.prompt), len(prompt) - 1)
        same = next((i for i in range(longest) if slot.prompt[i] != prompt[i]), longest)
        return same - same % self._unit
