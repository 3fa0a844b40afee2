"""Error answers in OpenAI's shape. Their text is fixed: nothing a client sent is ever repeated in one.

Knows no routes and no model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from assistant.errors import AssistantError, ContextOverflowError, OutOfMemoryError, RequestRefusedError

_TYPES: Mapping[int, str] = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable",
}


class RefusedError(Exception):
    """A request that gets an error answer. An ASGI application too, so that it can be returned as one.

    Args:
        status: The HTTP status.
        code: What went wrong, for programs.
        message: What went wrong, for people.
        param: The field at fault.
        hint: What to do about it.
        headers: More headers, lower case.
        fields: More fields of the error object.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        hint: str = "",
        headers: Iterable[tuple[str, str]] = (),
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.headers = tuple(headers)
        self.error: dict[str, Any] = {
            "message": message,
            "type": _TYPES.get(status, "invalid_request_error"),
            "code": code,
            "param": param,
            **({"hint": hint} if hint else {}),
            **(fields or {}),
        }
        """The error object as the client sees it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        await send_json(send, self.status, {"error": self.error}, headers=self.headers)


async def send_json(
    send: Send, status: int, content: Mapping[str, Any], *, headers: Iterable[tuple[str, str]] = ()
) -> None:
    """Send a whole answer."""
    body = encode_json(content)
    all_headers = [("content-type", "application/json"), ("content-length", str(len(body))), *headers]
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in all_headers]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def encode_json(content: Mapping[str, Any]) -> bytes:
    """Encode an answer. Half a character, which has no UTF-8, becomes a question mark."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", errors="replace")


def invalid_request(message: str, param: str | None = None) -> RefusedError:
    """Say what is wrong with a request's content."""
    return RefusedError(400, "invalid_request", message, param=param)


def refusal_of(error: AssistantError) -> RefusedError:
    """Turn a failure of the engine into an error answer."""
    match error:
        case OutOfMemoryError():
            hint = error.hint or "lower max_tokens, or shorten the input"
            return RefusedError(503, "out_of_memory", error.message, hint=hint)
        case ContextOverflowError():
            return RefusedError(400, "context_length_exceeded", error.message, hint=error.hint)
        case RequestRefusedError():
            return RefusedError(400, "invalid_request", error.message, hint=error.hint)
        case _:
            return RefusedError(500, "engine_error", error.message, hint=error.hint)


def model_refusal(error: AssistantError) -> RefusedError:
    """Turn a model that cannot be loaded into an error answer."""
    if isinstance(error, OutOfMemoryError):
        hint = error.hint or "lower engine.slots or engine.context_tokens, or choose a smaller model"
        return RefusedError(503, "out_of_memory", error.message, hint=hint)
    return RefusedError(503, "model_failed", error.message, hint=error.hint)
