"""Turns into text: the blocks of the text formats, the messages of `chat`. Knows no tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence

from assistant.errors import RequestRefusedError, UsageError
from assistant.requests import Role, Turn
from assistant.wording import WORDINGS, Wording

CHAT = "chat"
"""The format whose words are the model's own."""
SYSTEM_PROMPT = (
    "You are a Python coding assistant. Answer with Python code in one fenced block. "
    "Write no prose unless you are asked for it."
)


def render_prompt(prompt_format: str, turns: Sequence[Turn], *, eos_token: str = "") -> str:
    """Render a conversation in a text format, up to where the model's answer begins.

    Args:
        prompt_format: One of `WORDINGS`.
        turns: The conversation; a user's turn must be the last but for system turns.
        eos_token: What ends an earlier answer. Empty where only a server knows it: a blank line then.

    Raises:
        RequestRefusedError: There is no task to answer.
        UsageError: There is no such text format.
    """
    return (eos_token or "\n\n").join(split_at_answers(prompt_format, turns))


def split_at_answers(prompt_format: str, turns: Sequence[Turn]) -> list[str]:
    """Render a conversation in pieces: one ends with each earlier answer, the last with the open prompt.

    Raises:
        RequestRefusedError: There is no task to answer.
        UsageError: There is no such text format.
    """
    wording = find_wording(prompt_format)
    pieces: list[str] = []
    waiting: list[Turn] = []
    for turn in turns:
        if turn.role is not Role.ASSISTANT:
            waiting.append(turn)
            continue
        asked = _asks(waiting)
        pieces.append(_render_block(wording, waiting if asked else []) + normalize_line_ends(turn.text))
        waiting = [] if asked else waiting
    if not _asks(waiting):
        raise RequestRefusedError("the conversation has no task to answer: its last turn must be the user's")
    return [*pieces, _render_block(wording, waiting)]


def find_wording(prompt_format: str) -> Wording:
    """Return the words of a text format.

    Raises:
        UsageError: There is no such text format.
    """
    if prompt_format not in WORDINGS:
        raise UsageError(
            f"{prompt_format!r} is no prompt format made of text alone",
            hint=f"one of {', '.join(WORDINGS)} is",
        )
    return WORDINGS[prompt_format]


def build_chat_messages(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Build the messages of a conversation for a chat template or for an OpenAI-compatible server.

    Every content is plain text, for templates and servers that take nothing else: an input stands in a
    fenced block after its task. A system prompt is added where the conversation has none.
    """
    messages: list[dict[str, str]] = []
    if not any(turn.role is Role.SYSTEM for turn in turns):
        messages.append({"role": "system", "content": SYSTEM_PROMPT})
    for turn in turns:
        text = normalize_line_ends(turn.text)
        if turn.input:
            text += f"\n\nInput:\n{_fence(normalize_line_ends(turn.input))}"
        messages.append({"role": turn.role.value, "content": text})
    return messages


def normalize_line_ends(text: str) -> str:
    """Make every line end a line feed."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _asks(turns: Sequence[Turn]) -> bool:
    return any(turn.role is Role.USER for turn in turns)


def _render_block(wording: Wording, turns: Sequence[Turn]) -> str:
    task = "\n\n".join(normalize_line_ends(turn.text) for turn in turns if turn.text)
    input_text = "\n\n".join(normalize_line_ends(turn.input) for turn in turns if turn.input)
    return wording.before_task + task + wording.before_input + input_text + wording.before_response


def _fence(text: str) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    body = text if text.endswith("\n") else f"{text}\n"
    return f"{fence}\n{body}{fence}"
