"""The values of the history: an exchange, a conversation, a search's finding. No I/O."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from enum import StrEnum

from assistant.requests import Sampling, Usage

MAX_TITLE_CHARS = 80


class Outcome(StrEnum):
    """How an exchange ended."""

    UNFINISHED = "unfinished"
    """No end was recorded: it is being answered, or the program ended before it was."""
    STOP = "stop"
    """The model ended it."""
    LENGTH = "length"
    """Cut off by a limit on its length."""
    CANCELLED = "cancelled"
    """The user ended it."""
    FAILED = "failed"
    """An error ended it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One task and what was answered, as far as it came."""

    id: str
    conversation: str
    """The id of the conversation it belongs to."""
    started: float
    """Seconds since the epoch."""
    task: str
    input: str = ""
    answer: str = ""
    """The whole reply, prose included, exactly as it came."""
    outcome: Outcome = Outcome.UNFINISHED
    error: str = ""
    """Why it failed, in words; empty where it did not."""
    model: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    usage: Usage | None = None
    seconds: float = 0.0
    tokens_per_s: float | None = None
    source: str = ""
    """The front end: ask or chat."""
    variant_of: str = ""
    """The exchange whose task it answers once more; empty for a task of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A row of the list of conversations."""

    id: str
    title: str
    started: float
    """Seconds since the epoch, like `changed`."""
    changed: float
    exchanges: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """An exchange that a search found."""

    conversation: Conversation
    exchange: Exchange
    snippet: str
    """The words around the first hit, on one line."""


def new_id() -> str:
    """Make an id that no other process makes."""
    return secrets.token_hex(8)


def title_of(task: str) -> str:
    """Return a conversation's title, until it is renamed: its first task's first line."""
    line = next((stripped for line in task.splitlines() if (stripped := line.strip())), "")
    return line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1] + "…"
