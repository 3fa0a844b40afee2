"""Which sequence sits in which slot, and which prompt beginnings the cache still holds.

Only whole prefill chunks of a prompt are shared, so that a prompt's chunks are always computed from the
same rows: an answer is the same with and without sharing, bit by bit. Knows no tensors.
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
    """The prompt tokens computed so far in it, by prefill alone."""
    used: int = 0
    """When it was taken last, counted in takings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A slot for a new sequence."""

    slot: int
    source: int
    """The slot that holds the shared beginning; `slot` itself where nothing needs to be copied."""
    shared: int
    """Tokens of the prompt that need not be computed, a multiple of the chunk."""


class SlotTable:
    """All slots of a network.

    Args:
        slots: How many.
        chunk: Prompt tokens computed at once.
        keeps_prefixes: Whether the network can share them at all.
    """

    def __init__(self, slots: int, chunk: int, *, keeps_prefixes: bool) -> None:
        self._slots = [Slot(number) for number in range(slots)]
        self._chunk = chunk
        self._keeps_prefixes = keeps_prefixes
        self._takings = 0

    @property
    def free(self) -> int:
        """Slots without a sequence."""
        return sum(not slot.busy for slot in self._slots)

    def take(self, prompt: Sequence[int]) -> Taken:
        """Give a free slot to a sequence: the one that shares most, else the one unused longest."""
        shared = {slot.number: self._shared(slot, prompt) for slot in self._slots}
        source = max(self._slots, key=lambda slot: (shared[slot.number], not slot.busy))
        free = [slot for slot in self._slots if not slot.busy]
        target = source if source in free else min(free, key=lambda slot: slot.used)
        if shared[source.number] == 0:
            target = source = min(free, key=lambda slot: (bool(slot.prompt), slot.used))
        self._takings += 1
        target.busy, target.used = True, self._takings
        count = shared[source.number]
        target.prompt = list(prompt[:count])
        return Taken(slot=target.number, source=source.number, shared=count)

    def add_prompt(self, slot: int, ids: Sequence[int]) -> None:
        """Note that these prompt tokens are in the cache now."""
        self._slots[slot].prompt.extend(ids)

    def release(self, slot: int) -> None:
        """A sequence has ended. What its slot holds stays good for sharing."""
        self._slots[slot].busy = False

    def forget(self, slot: int) -> None:
        """What a slot holds cannot be trusted any more."""
        self._slots[slot].prompt = []

    def _shared(self, slot: Slot, prompt: Sequence[int]) -> int:
        if not self._keeps_prefixes:
            return 0
        # At least one token is computed: its logits choose the first token of the answer.
        longest = min(len(slot.prompt), len(prompt) - 1)
        same = next((i for i in range(longest) if slot.prompt[i] != prompt[i]), longest)
        return same - same % self._chunk
