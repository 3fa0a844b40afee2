"""Foreign failures become ours, here and nowhere else: httpx2's exceptions and servers' error answers.

Knows the error formats of the servers that speak OpenAI's protocol: vLLM, llama.cpp, Ollama, TGI, FastAPI
applications such as `transformers serve`, and ours.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import httpx2

from assistant.errors import (
    AssistantError,
    ContextOverflowError,
    GeneratorBusyError,
    GeneratorError,
    GeneratorLostError,
    ModelError,
    OutOfMemoryError,
    RequestRefusedError,
    UnknownModelError,
)

HTTPX_ERRORS = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.CookieConflict, httpx2.StreamError)
"""Between them the bases of every exception that httpx2 defines."""

MAX_MESSAGE_CHARS = 500

_UNREACHABLE = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
)
_SILENT = (httpx2.ReadTimeout, httpx2.WriteTimeout, httpx2.TimeoutException)
_NONSENSE = (
    httpx2.SSEError,
    httpx2.DecodingError,
    httpx2.TooManyRedirects,
    httpx2.HTTPStatusError,
    httpx2.CookieConflict,
    httpx2.LocalProtocolError,
)
_GONE = (httpx2.NetworkError, httpx2.RemoteProtocolError)


class UnreachableError(GeneratorError):
    """Nothing of the request was sent: trying again is safe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which generator a message speaks of, and what a user can do about it."""

    name: str
    """`the generator`, or `the generator at http://…`."""
    hint: str
    """What to do when it cannot be reached."""
    is_ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error answer, whatever its format was."""

    status: int
    """The HTTP status; 0 for an error in the middle of an answer."""
    message: str
    code: str = ""
    kind: str = ""
    """The `type` field."""
    param: str = ""
    fields: Mapping[str, Any]
    """All of the error object."""
    retry_after_s: float | None = None


@contextlib.contextmanager
def translated(place: Place, *, has_begun: bool = False) -> Generator[None]:
    """Raise what httpx2 raises as one of our errors.

    Args:
        place: The generator that is talked to.
        has_begun: An answer has begun: its end is a loss, not a failure to connect.

    Raises:
        GeneratorError: For each of httpx2's exceptions.
    """
    try:
        yield
    except HTTPX_ERRORS as error:
        raise transport_error(error, place, has_begun=has_begun) from error


def transport_error(error: Exception, place: Place, *, has_begun: bool) -> GeneratorError:
    """Say in the user's words what httpx2's exception means."""
    detail = clean_text(str(error)) or type(error).__name__
    if isinstance(error, _UNREACHABLE):
        return UnreachableError(f"cannot reach {place.name}: {detail}", hint=place.hint)
    if isinstance(error, _SILENT):
        lost = GeneratorLostError if has_begun else GeneratorError
        return lost(f"{place.name} stopped answering", hint=_log_hint(place))
    if isinstance(error, _NONSENSE):
        return GeneratorError(f"{place.name} answers with nonsense: {detail}", hint=place.hint)
    if isinstance(error, _GONE) or has_begun:
        when = "in the middle of the answer" if has_begun else "before it answered"
        return GeneratorLostError(f"{place.name} went away {when}", hint=_log_hint(place))
    return GeneratorError(f"cannot talk to {place.name}: {detail}", hint=place.hint)


def parse_refusal(status: int, headers: Mapping[str, str], body: str) -> Refusal:
    """Read an error answer: JSON of any of the known formats, HTML or plain text."""
    try:
        content: object = json.loads(body)
    except (ValueError, RecursionError):
        content = _text_of_page(body)
    refusal = parse_error_object(content, status=status)
    after = headers.get("retry-after", "")
    seconds = float(after) if re.fullmatch(r"\d{1,6}(\.\d+)?", after) else None
    return Refusal(
        status=status,
        message=refusal.message or f"HTTP status {status}",
        code=refusal.code,
        kind=refusal.kind,
        param=refusal.param,
        fields=refusal.fields,
        retry_after_s=seconds,
    )


def parse_error_object(content: object, *, status: int = 0) -> Refusal:
    """Read an error object from a body or from the middle of an answer."""
    if isinstance(content, dict):
        outer = cast("dict[str, Any]", content)
        inner: object = outer.get("error") or outer.get("detail") or outer
        if isinstance(inner, dict):
            return _refusal_of_fields(cast("dict[str, Any]", inner), status)
        kind = str(outer.get("error_type") or "")
        return Refusal(status=status, message=_text_of_detail(inner), kind=kind, fields=outer)
    return Refusal(status=status, message=_text_of_detail(content), fields={})


def refusal_error(refusal: Refusal, place: Place) -> AssistantError:
    """Turn an error answer into the error it means."""
    message, hint = refusal.message, clean_text(str(refusal.fields.get("hint") or ""))
    if is_context_overflow(refusal):
        return ContextOverflowError(_overflow_message(refusal), hint=hint or "shorten the task or its input")
    if is_unknown_model(refusal):
        return UnknownModelError(message, hint=_nearest_hint(refusal, place) or hint)
    match refusal.code:
        case "out_of_memory" | "insufficient_memory":
            return OutOfMemoryError(message, hint=hint or "lower max_tokens, or shorten the input")
        case "model_failed" | "no_model":
            return ModelError(message, hint=hint or "`assistant doctor` says more")
        case "queue_full":
            return busy_error(refusal, place)
        case _:
            pass
    match refusal.status:
        case 401 | 403:
            own = "`assistant stop`; the next request starts it again"
            hint = hint or (own if place.is_ours else "set ASSISTANT_GENERATOR_TOKEN to its key")
            return GeneratorError(f"{place.name} refuses the token: {message}", hint=hint)
        case 404 | 405:
            return GeneratorError(f"{place.name} does not know the address: {message}", hint=place.hint)
        case 429:
            return busy_error(refusal, place)
        case status if 400 <= status < 500:
            return RequestRefusedError(f"{place.name} refuses the request: {message}", hint=hint)
        case status if 300 <= status < 400:
            return GeneratorError(f"{place.name} sends its visitors elsewhere: {message}", hint=place.hint)
        case _:
            return GeneratorError(f"{place.name} failed: {message}", hint=hint or _log_hint(place))


def busy_error(refusal: Refusal, place: Place) -> GeneratorBusyError:
    """Say that waiting for a free slot was in vain."""
    return GeneratorBusyError(f"{place.name} is busy: {refusal.message}", hint="try again later")


def is_loading(refusal: Refusal) -> bool:
    """Whether the server says that its model is not there yet."""
    if refusal.status != 503 or refusal.code in ("model_failed", "no_model", "out_of_memory"):
        return False
    return refusal.code == "model_loading" or "loading" in refusal.message.lower()


def is_busy(refusal: Refusal) -> bool:
    """Whether the server says that it has too much to do; an empty account is not that."""
    return refusal.status == 429 and refusal.code != "insufficient_quota"


def is_context_overflow(refusal: Refusal) -> bool:
    """Whether the prompt is too long for the model."""
    return (
        refusal.code == "context_length_exceeded"
        or refusal.kind == "exceed_context_size_error"
        or "maximum context length" in refusal.message
    )


def is_unknown_model(refusal: Refusal) -> bool:
    """Whether the server has no model of the name that was asked for."""
    if refusal.code == "model_not_found":
        return True
    if refusal.status != 404:
        return False
    return refusal.param == "model" or re.search(r"\bmodel\b", refusal.message, re.IGNORECASE) is not None


def clean_text(text: str) -> str:
    """Make a stranger's text fit for a terminal: one line, no control characters, not too long."""
    visible = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(visible.split())
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"


def _refusal_of_fields(fields: dict[str, Any], status: int) -> Refusal:
    code = fields.get("code")
    if isinstance(code, int) and not status and 300 <= code < 600:
        status = code
    message = fields.get("message") or fields.get("error") or fields.get("msg") or fields.get("reason") or ""
    return Refusal(
        status=status,
        message=_text_of_detail(message),
        code=code if isinstance(code, str) else "",
        kind=str(fields.get("type") or ""),
        param=str(fields.get("param") or ""),
        fields=fields,
    )


def _text_of_detail(detail: object) -> str:
    """FastAPI lists what it could not validate: [{"loc": ["body", "n"], "msg": "…"}, …]."""
    if not isinstance(detail, list):
        return clean_text(str(detail))
    lines: list[str] = []
    for item in cast("list[Any]", detail):
        fields: dict[str, Any] = cast("dict[str, Any]", item) if isinstance(item, dict) else {"msg": item}
        where = ".".join(str(part) for part in fields.get("loc") or ())
        lines.append(f"{where}: {fields.get('msg', '')}" if where else str(fields.get("msg", "")))
    return clean_text("; ".join(lines))


def _text_of_page(body: str) -> str:
    if not re.search(r"<(!doctype|html|head|body)\b", body[:2000], re.IGNORECASE):
        return body
    title = re.search(r"<title[^>]*>(.*?)</title>", body, re.IGNORECASE | re.DOTALL)
    return title.group(1) if title else re.sub(r"<[^>]*>", " ", body)


def _overflow_message(refusal: Refusal) -> str:
    prompt = refusal.fields.get("prompt_tokens", refusal.fields.get("n_prompt_tokens"))
    context = refusal.fields.get("context_tokens", refusal.fields.get("n_ctx"))
    if isinstance(prompt, int) and isinstance(context, int):
        return f"the prompt has {prompt} tokens, more than the model's context of {context} leaves room for"
    return refusal.message


def _nearest_hint(refusal: Refusal, place: Place) -> str:
    nearest: object = refusal.fields.get("nearest")
    names: list[Any] = cast("list[Any]", nearest) if isinstance(nearest, list) else []
    if names:
        return f"did you mean {' or '.join(clean_text(str(name)) for name in names)}?"
    if refusal.fields.get("hint"):
        return ""
    return (
        "`assistant models list` shows what there is"
        if place.is_ours
        else "set generator.model to one that it serves"
    )


def _log_hint(place: Place) -> str:
    return "`assistant doctor` shows its log" if place.is_ours else place.hint
