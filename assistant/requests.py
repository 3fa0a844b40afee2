"""The values that cross the seam between a front end and a generator. No I/O, no wire format."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from assistant.errors import AssistantError


class Role(StrEnum):
    """Who said a turn."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One thing said in a conversation."""

    role: Role
    text: str
    """The task, in a user's turn; the reply, in the assistant's."""
    input: str = ""
    """The data or code the task is about. Only a user's turn has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen and when to stop. Ranges are those of `assistant.limits`."""

    temperature: float = 0.0
    """0 always takes the likeliest token."""
    top_p: float = 1.0
    """Sample from the smallest set of tokens whose probabilities add up to this."""
    top_k: int = 0
    """Sample from so many of the likeliest tokens; 0 from all."""
    min_p: float = 0.0
    """Leave tokens out that are less likely than this share of the likeliest; 0 leaves none out."""
    repetition_penalty: float | None = None
    """Above 1, tokens of the prompt and the answer are less likely to come again; 1 is none, None the model's
    own."""
    max_tokens: int = 1024
    """New tokens at most, for each of the `n` answers."""
    seed: int | None = None
    """The same seed gives the same answer; None takes a fresh one."""
    stop: tuple[str, ...] = ()
    """End an answer where one of these begins; it is not part of the answer."""
    n: int = 1
    """How many answers."""
    syntax_guard: bool | None = None
    """Whether code that cannot be Python is taken back while it is written; None as the generator is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The only thing that goes into a generator."""

    turns: tuple[Turn, ...]
    sampling: Sampling = field(default_factory=Sampling)
    model: str = ""
    """A model of the store; empty for the active one."""


def build_task_request(
    task: str, input_text: str = "", *, sampling: Sampling | None = None, model: str = ""
) -> Request:
    """Build the request for one task without a conversation before it."""
    turn = Turn(role=Role.USER, text=task, input=input_text)
    return Request(turns=(turn,), sampling=sampling or Sampling(), model=model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts of one request; completion tokens are summed over its `n` answers."""

    prompt_tokens: int
    completion_tokens: int


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    """The model ended it, or a stop string did."""
    LENGTH = "length"
    """`max_tokens` or the context was used up: the answer is cut off."""
    CANCELLED = "cancelled"
    """Somebody asked for it to end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """The request waits for the generator: it starts, or loads its model."""

    stage: str
    """What is being done, in words for a status line."""
    fraction: float | None = None
    """0 to 1, or None where it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The generator took the request."""

    request_id: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A piece of text, of one token or of several."""

    text: str
    index: int = 0
    """Which of the `n` answers it continues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerEnded:
    """One of several answers has ended, while others may go on. With `n` = 1, `Done` alone says so."""

    index: int
    finish_reason: FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """All answers have ended. The last event of a request that went well."""

    finish_reasons: tuple[FinishReason, ...]
    """One for each of the `n` answers."""
    usage: Usage | None
    """None where a foreign server does not say."""
    model: str
    seed: int | None = None
    seconds: float = 0.0
    """From the request to the end, waiting included."""
    tokens_per_s: float | None = None
    """Completion tokens for each second after the first token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The request ended with an error. Text that arrived before stays good to use."""

    error: AssistantError


Event = Loading | Started | Token | AnswerEnded | Done | Failed
