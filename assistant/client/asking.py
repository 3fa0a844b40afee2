"""What is sent for a request: paths and bodies, for our own generator and for foreign servers. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assistant.client.failures import Refusal
from assistant.requests import Request, Sampling, Turn

ACTIVE_MODEL = "default"
"""Our generator's name for whatever model is active."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One POST."""

    path: str
    body: Mapping[str, Any]


def build_own_call(request: Request) -> Call:
    """Build the call to our own generator, which renders the prompt itself."""
    messages = [{"role": turn.role.value, "content": _own_content(turn)} for turn in request.turns]
    body = {
        "model": request.model or ACTIVE_MODEL,
        "messages": messages,
        **_sampling_fields(request.sampling),
        **_own_fields(request.sampling),
    }
    return Call(path="/v1/chat/completions", body=body)


def build_foreign_call(request: Request, *, model: str, prompt_format: str) -> Call:
    """Build the call to a foreign server, whose model wants its prompt in the given format."""
    from assistant import prompts  # a call to our own generator needs none of it

    fields = {
        "model": model,
        **_sampling_fields(request.sampling),
        **_changed_fields(request.sampling),
    }
    if prompt_format == "chat":
        messages = prompts.build_chat_messages(request.turns)
        return Call(path="/chat/completions", body={**fields, "messages": messages})
    prompt = prompts.render_prompt(prompt_format, request.turns)
    return Call(path="/completions", body={**fields, "prompt": prompt})


def find_milder_call(call: Call, refusal: Refusal) -> Call | None:
    """Return the call in other words, where the server refuses only the words; None where there are none.

    Newer models of OpenAI want `max_completion_tokens`; some servers do not know `stream_options`.
    """
    if refusal.status not in (400, 422):
        return None
    blamed = f"{refusal.param} {refusal.message}"
    body = dict(call.body)
    if "max_tokens" in blamed and "max_completion_tokens" in blamed and "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
        return Call(path=call.path, body=body)
    if "stream_options" in blamed and "stream_options" in body:
        del body["stream_options"]
        return Call(path=call.path, body=body)
    return None


def _own_content(turn: Turn) -> str | list[dict[str, str]]:
    if not turn.input:
        return turn.text
    return [{"type": "text", "text": turn.text}, {"type": "text", "text": turn.input}]


def _sampling_fields(sampling: Sampling) -> dict[str, Any]:
    """Name the sampling in OpenAI's words. Temperature and top_p always: servers' own defaults differ."""
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    if sampling.n > 1:
        fields["n"] = sampling.n
    return fields


def _extra_fields(sampling: Sampling) -> dict[str, Any]:
    """Name what OpenAI has no words for, in those of vLLM, llama.cpp and TGI."""
    return {
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
    }


def _changed_fields(sampling: Sampling) -> dict[str, Any]:
    """Leave out what changes nothing: not every server knows the words."""
    unchanged = _extra_fields(Sampling())
    return {name: value for name, value in _extra_fields(sampling).items() if value != unchanged[name]}


def _own_fields(sampling: Sampling) -> dict[str, Any]:
    fields = {**_extra_fields(sampling), "syntax_guard": sampling.syntax_guard}
    return {name: value for name, value in fields.items() if value is not None}
