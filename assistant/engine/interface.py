"""The engine as the server sees it. Knows no torch, no HTTP and no files: importing it costs nothing.

A `LoadedModel` decodes many jobs in one batch on a thread of its own and reports to each job's
`sink`, on that thread. Sinks must return at once and must not raise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from assistant.errors import AssistantError
from assistant.requests import FinishReason, Sampling, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some more text of one answer. `tokens` counts what it is made of, and may be 0 for held-back text."""

    index: int
    text: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """One of the `n` answers has ended."""

    index: int
    reason: FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The job is over and holds nothing any more. The last report of every job, cancelled ones included."""

    error: AssistantError | None = None
    cached_tokens: int = 0
    """Prompt tokens that did not have to be computed."""
    prefill_s: float = 0.0
    decode_s: float = 0.0
    taken_back: int = 0
    """Lines of code that the syntax guard took back, in all answers."""
    gave_up: int = 0
    """Answers in which it left an error, since no other line that it tried was without one."""


Report = Piece | Finished | Ended


@dataclass(slots=True, kw_only=True, eq=False)
class Job:
    """One request on its way through the engine."""

    ids: Sequence[int]
    """The prompt's token ids, 1 to `context_tokens` - 1 of them."""
    sampling: Sampling
    """Its `seed` is set: whoever makes the job draws one."""
    sink: Callable[[Report], None]
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Set it to end the job within one decode step or one prefill chunk."""


class LoadedModel(Protocol):
    """A model in memory, ready to answer."""

    name: str
    context_tokens: int
    """Prompt and answer together may have so many tokens."""
    slots: int
    """So many sequences are decoded at once; the rest wait their turn inside."""
    device: str
    """As torch names it: `cpu`, `cuda:0`."""
    quantization: str
    """`none`, `int8`, `int4` or `nf4`."""
    memory_bytes: int
    """Weights and cache on the device."""

    def encode_turns(self, turns: Sequence[Turn]) -> list[int]:
        """Render a conversation in this model's prompt format and tokenize it.

        Raises:
            RequestRefusedError: This model's format cannot render the turns.
        """
        ...

    def encode_text(self, text: str) -> list[int]:
        """Tokenize a prompt that the caller rendered itself. Special-token strings in it stay text."""
        ...

    def submit(self, job: Job) -> None:
        """Queue a job. Its reports follow on the engine's thread."""
        ...

    def active_sequences(self) -> int:
        """How many slots hold a sequence now."""
        ...

    def last_beat(self) -> float:
        """When the engine's thread last went round, in `time.monotonic` seconds."""
        ...

    def close(self) -> None:
        """Cancel what runs, give the memory back and end the thread."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadProgress:
    """How far a load has come."""

    stage: str
    fraction: float | None = None


LoadModel = Callable[[Path, Callable[[LoadProgress], None]], LoadedModel]
"""Load the model in a directory, verified already; blocks. Raises `AssistantError`."""
