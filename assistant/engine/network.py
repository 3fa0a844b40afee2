"""What the decode loop needs of a model on a device. Two implementations: `llama` and `other`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from assistant.engine.sampling import Draw


class Network(Protocol):
    """A model with a cache of `slots` sequences. Used from one thread alone."""

    vocab_size: int
    slots: int
    quantization: str
    """What the weights really are: `none`, `int8`, `int4` or `nf4`."""
    keeps_prefixes: bool
    """Whether a slot's cache can be cut back to any position and copied."""
    is_invariant: bool
    """Whether a token's numbers are the same, bit by bit, whatever else is computed in the same step."""

    draw: Draw
    """How a token is drawn from its scores."""

    @property
    def memory_bytes(self) -> int:
        """Weights and cache, on the device."""
        ...

    @property
    def token_bytes(self) -> int:
        """Of the weights, what every step reads: all but an embedding, of which it takes single rows."""
        ...

    def prefill(self, slot: int, start: int, ids: Sequence[int]) -> Tensor:
        """Compute a prompt's next tokens.

        Args:
            slot: Whose cache to extend; what it holds from `start` on is overwritten.
            start: Position of the first of `ids`.
            ids: L token ids.

        Returns:
            The last position's logits, (vocab,), float32.
        """
        ...

    def decode_step(
        self, slots: Sequence[int], positions: Sequence[int], ids: Sequence[Sequence[int]]
    ) -> Tensor:
        """Compute the next token, or several guessed ones, of each of B sequences.

        Args:
            slots: B different slots.
            positions: B positions, of the first token for each.
            ids: B lists of token ids: the last chosen one, and guesses of those after it. Guesses that turn
                out wrong are taken back by starting the next step at an earlier position.

        Returns:
            Logits (total number of ids, vocab), float32, sequence after sequence; never written to again.
        """
        ...

    def copy_prefix(self, source: int, target: int, tokens: int) -> None:
        """Copy the first positions of one slot's cache to another's."""
        ...
