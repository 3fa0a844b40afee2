"""Answers and events as JSON for programs. `schema` is raised when a field changes its meaning or goes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, assert_never

from assistant.answers import Answer
from assistant.errors import AssistantError
from assistant.requests import AnswerEnded, Done, Event, Failed, Loading, Request, Started, Token

if TYPE_CHECKING:
    from assistant.replies import Code

SCHEMA = 1

_ESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
"""Control characters that JSON leaves as they are and a terminal obeys."""


def render_json(content: Mapping[str, Any], *, indent: int | None = None) -> str:
    """Return one JSON text that is safe to show; half a character is written as an escape."""
    text = json.dumps(content, ensure_ascii=False, indent=indent).translate(_ESCAPED)
    return text.encode("utf-8", "backslashreplace").decode()


def build_request_object(request: Request) -> dict[str, Any]:
    """Describe what was asked."""
    turn, sampling = request.turns[-1], request.sampling
    params = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "syntax_guard": sampling.syntax_guard,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop),
        "n": sampling.n,
    }
    return {"schema": SCHEMA, "task": turn.text, "input": turn.input, "params": params}


def build_answer_object(
    request: Request, answer: Answer, codes: Sequence[Code], error: AssistantError | None
) -> dict[str, Any]:
    """Describe an answer: the first of the `n` at the top, all of them in `choices` if there are more."""
    choices = [_choice(answer, index, code) for index, code in enumerate(codes)]
    usage = answer.usage
    asked = build_request_object(request)
    params = asked.pop("params")
    return {
        **asked,
        **choices[0],
        "model": answer.model,
        "tokens": {
            "prompt": usage.prompt_tokens if usage else None,
            "completion": usage.completion_tokens if usage else None,
        },
        "seconds": round(answer.seconds, 3),
        "tok_per_s": None if answer.tokens_per_s is None else round(answer.tokens_per_s, 2),
        "seed": answer.seed if answer.seed is not None else request.sampling.seed,
        "params": params,
        "error": _error_object(error),
        **({"choices": choices} if len(choices) > 1 else {}),
    }


def build_event_object(event: Event) -> dict[str, Any]:
    """Describe one event."""
    match event:
        case Loading(stage=stage, fraction=fraction):
            return {"event": "loading", "stage": stage, "fraction": fraction}
        case Started(request_id=request_id, model=model):
            return {"event": "started", "request_id": request_id, "model": model}
        case Token(text=text, index=index):
            return {"event": "token", "text": text, "index": index}
        case AnswerEnded(index=index, finish_reason=reason):
            return {"event": "ended", "index": index, "finish_reason": reason.value}
        case Done():
            fields = asdict(event)
            return {"event": "done", **fields}
        case Failed(error=error):
            return {"event": "failed", "error": _error_object(error)}
        case _:
            assert_never(event)


def _choice(answer: Answer, index: int, code: Code) -> dict[str, Any]:
    return {
        "code": code.text,
        "text": answer.texts[index],
        "parses": code.parses,
        "finish_reason": answer.finish_reasons[index].value,
    }


def _error_object(error: AssistantError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"message": error.message, "hint": error.hint, "exit_code": error.exit_code}
