"""A conversation as a document: Markdown to read, or one Python file with the tasks as comments."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from assistant.history.records import Conversation, Exchange, Outcome
from assistant.replies import extract_code


def render_markdown(conversation: Conversation, exchanges: Iterable[Exchange]) -> str:
    """Render everything that was said. Answers stand as they came; inputs in fences that hold them."""
    parts = [f"# {_one_line(conversation.title)}\n", f"{_date(conversation.started)}\n"]
    for exchange in exchanges:
        parts.append(f"## {_one_line(exchange.task)}\n")
        if "\n" in exchange.task.strip():
            parts.append(f"{exchange.task.strip()}\n")
        if exchange.input:
            parts.append(f"Input:\n\n{_fenced(exchange.input)}\n")
        parts.append(f"{_answer(exchange)}\n")
        parts.append(f"*{_remark(exchange)}*\n")
    return "\n".join(parts)


def render_python(exchanges: Iterable[Exchange]) -> str:
    """Render the code of each answer under its task as a comment; what has no code is left out.

    Of several answers to one task the last is taken.
    """
    last: dict[str, Exchange] = {}
    for exchange in exchanges:
        if exchange.answer.strip():
            last[exchange.variant_of or exchange.id] = exchange
    parts: list[str] = []
    for exchange in last.values():
        code = extract_code(exchange.answer).text.strip("\n")
        if code.strip():
            task = "\n".join(f"# {line}".rstrip() for line in exchange.task.strip().splitlines())
            parts.append(f"{task}\n\n{code}\n")
    return "\n\n".join(parts)


def _answer(exchange: Exchange) -> str:
    answer = exchange.answer.strip("\n")
    if not answer.strip():
        return "(no answer)"
    if "```" in answer or "~~~" in answer:
        fences = re.findall(r"^\s{0,3}(?:```|~~~)", answer, re.MULTILINE)
        return answer if len(fences) % 2 == 0 else f"{answer}\n```"
    return _fenced(answer, "python")


def _fenced(text: str, language: str = "") -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def _remark(exchange: Exchange) -> str:
    parts = [exchange.model or "unknown model", _date(exchange.started)]
    if exchange.outcome is not Outcome.STOP:
        parts.append(exchange.outcome.value)
    if exchange.sampling.seed is not None:
        parts.append(f"seed {exchange.sampling.seed}")
    return " · ".join(parts)


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "Untitled"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
