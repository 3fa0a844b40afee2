"""What comes back for a request: a server's stream of chunks, or its one JSON object, as events.

`AnswerReader` takes chunks that are parsed already; `stream_events` reads them from a response. Both are
patient with servers that leave fields out.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, cast

import httpx2

from assistant.client.failures import (
    Place,
    clean_text,
    parse_error_object,
    refusal_error,
    translated,
)
from assistant.errors import GeneratorError, GeneratorLostError
from assistant.requests import AnswerEnded, Done, Event, FinishReason, Started, Token, Usage

MAX_EVENT_BYTES = 16 * 1024 * 1024
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024

_CUT_OFF = frozenset({"length", "max_tokens", "model_length"})
_STOPPED = frozenset({"cancelled", "abort", "content_filter"})


class AnswerReader:
    """Turns the chunks of one answer into events.

    Args:
        place: The generator, for messages.
        request_id: From the headers; empty to take the first chunk's.
        model: What was asked for, until a chunk says otherwise.
        began: When the request began, in `time.monotonic` seconds.
        has_several: More than one answer was asked for: the end of each is an event.
    """

    def __init__(
        self, place: Place, *, request_id: str, model: str, began: float, has_several: bool = False
    ) -> None:
        self._place = place
        self._has_several = has_several
        self._request_id = request_id
        self._model = model
        self._began = began
        self._first_token = 0.0
        self._last_token = 0.0
        self._reasons: dict[int, FinishReason] = {}
        self._halves: dict[int, str] = {}
        self._usage: Usage | None = None
        self._seed: int | None = None
        self._speed: float | None = None
        self._has_started = False

    def read_chunk(self, chunk: object) -> Iterator[Event]:
        """Take one chunk of a stream, or a whole answer.

        Raises:
            AssistantError: It is an error, or nothing that belongs to an answer.
        """
        if not isinstance(chunk, dict):
            raise self._nonsense(str(chunk))
        fields = cast("dict[str, Any]", chunk)
        if fields.get("error") or fields.get("object") == "error":
            raise refusal_error(parse_error_object(fields), self._place)
        choices: object = fields.get("choices")
        if not isinstance(choices, list) and not fields.get("usage"):
            raise self._nonsense(json.dumps(fields))
        self._note_totals(fields)
        if not self._has_started:
            self._has_started = True
            self._request_id = self._request_id or str(fields.get("id") or "")
            yield Started(request_id=self._request_id, model=self._model)
        for choice in cast("list[Any]", choices or []):
            if isinstance(choice, dict):
                yield from self._read_choice(cast("dict[str, Any]", choice))

    def end(self, *, is_marked: bool) -> Done:
        """Return the last event.

        Args:
            is_marked: The server itself said that this is the end.

        Raises:
            GeneratorError: There was no answer at all.
            GeneratorLostError: The answer is not whole.
        """
        if not self._has_started:
            raise GeneratorError(f"{self._place.name} sent no answer", hint=self._place.hint)
        count = max(self._reasons, default=-1) + 1
        if not is_marked and not (count and len(self._reasons) == count):
            raise GeneratorLostError(
                f"{self._place.name} ended in the middle of the answer", hint=self._place.hint
            )
        reasons = tuple(self._reasons.get(index, FinishReason.STOP) for index in range(max(count, 1)))
        return Done(
            finish_reasons=reasons,
            usage=self._usage,
            model=self._model,
            seed=self._seed,
            seconds=time.monotonic() - self._began,
            tokens_per_s=self._speed if self._speed is not None else self._measured_speed(),
        )

    def _read_choice(self, choice: dict[str, Any]) -> Iterator[Event]:
        number = choice.get("index")
        index = number if isinstance(number, int) and 0 <= number < 1024 else 0
        said: object = choice.get("delta") or choice.get("message")
        text = _text_of(cast("dict[str, Any]", said).get("content") if isinstance(said, dict) else None)
        text = self._whole_characters(index, text or _text_of(choice.get("text")))
        if text:
            now = time.monotonic()
            self._first_token = self._first_token or now
            self._last_token = now
            yield Token(text=text, index=index)
        reason: object = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            is_first = index not in self._reasons
            self._reasons[index] = _finish_reason(reason)
            if self._has_several and is_first:
                yield AnswerEnded(index=index, finish_reason=self._reasons[index])

    def _note_totals(self, fields: dict[str, Any]) -> None:
        model = fields.get("model")
        if isinstance(model, str) and model:
            self._model = model
        usage: object = fields.get("usage")
        if isinstance(usage, dict):
            counts = cast("dict[str, Any]", usage)
            prompt, completion = counts.get("prompt_tokens"), counts.get("completion_tokens")
            if isinstance(prompt, int) and isinstance(completion, int):
                self._usage = Usage(prompt_tokens=prompt, completion_tokens=completion)
        seed = fields.get("seed")
        if isinstance(seed, int):
            self._seed = seed
        timings: object = fields.get("timings")
        if isinstance(timings, dict):
            speed = cast("dict[str, Any]", timings).get("tokens_per_s")
            self._speed = float(speed) if isinstance(speed, int | float) else self._speed

    def _measured_speed(self) -> float | None:
        seconds = self._last_token - self._first_token
        if self._usage is None or self._usage.completion_tokens < 2 or seconds <= 0:
            return None
        return (self._usage.completion_tokens - 1) / seconds

    def _whole_characters(self, index: int, text: str) -> str:
        """Join what a server that counts in UTF-16 cut in two; half a character alone is none."""
        text = self._halves.pop(index, "") + text
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._halves[index] = text[-1]
            text = text[:-1]
        if text.isascii():
            return text
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _nonsense(self, what: str) -> GeneratorError:
        return GeneratorError(
            f"{self._place.name} answers with nonsense: {clean_text(what)[:120]}", hint=self._place.hint
        )


def stream_events(response: httpx2.Response, reader: AnswerReader, place: Place) -> Iterator[Event]:
    """Read a successful response to its end, `Done` included.

    Raises:
        AssistantError: The answer fails, or is not whole.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("application/json", "text/html"):
        # Some servers do not stream, whatever they are asked.
        body = read_text(response, place, limit=MAX_BODY_BYTES)
        yield from reader.read_chunk(_parse_json(body, place))
        yield reader.end(is_marked=True)
        return
    # Some forget the type, or name another; the format has no other encoding than UTF-8.
    response.headers["content-type"] = "text/event-stream; charset=utf-8"
    is_marked = False
    with translated(place, has_begun=True):
        for sent in httpx2.EventSource(response, max_event_size=MAX_EVENT_BYTES):
            is_marked = sent.data.strip() == "[DONE]"
            if is_marked:
                break
            if sent.data:
                yield from reader.read_chunk(_parse_json(sent.data, place))
    yield reader.end(is_marked=is_marked)


def read_text(response: httpx2.Response, place: Place, *, limit: int = MAX_ERROR_BYTES) -> str:
    """Read a body as text, at most `limit` bytes of it.

    Raises:
        GeneratorError: The server went away.
    """
    body = bytearray()
    with translated(place, has_begun=True):
        for piece in response.iter_bytes():
            body += piece
            if len(body) >= limit:
                break
    return bytes(body[:limit]).decode("utf-8", errors="replace")


def read_object(response: httpx2.Response, place: Place) -> Mapping[str, Any]:
    """Read a body as one JSON object.

    Raises:
        GeneratorError: It is none, or the server went away.
    """
    content = _parse_json(read_text(response, place, limit=MAX_BODY_BYTES), place)
    if isinstance(content, dict):
        return cast("dict[str, Any]", content)
    raise GeneratorError(
        f"{place.name} answers with nonsense: {clean_text(str(content))[:120]}", hint=place.hint
    )


def _parse_json(text: str, place: Place) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith('{"error"'):  # an error message pasted between quotes, unescaped
            return {"error": text.strip().removeprefix('{"error":').removesuffix("}").strip(' "')}
        raise GeneratorError(
            f"{place.name} answers with nonsense: {clean_text(text)[:120]}", hint=place.hint
        ) from error


def _text_of(content: object) -> str:
    """Take text as it is, or as a list of parts: [{"type": "text", "text": "…"}, …]."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [cast("dict[str, Any]", part) for part in cast("list[Any]", content) if isinstance(part, dict)]
    return "".join(str(part.get("text") or "") for part in parts if part.get("type", "text") == "text")


def _finish_reason(word: str) -> FinishReason:
    if word in _CUT_OFF:
        return FinishReason.LENGTH
    return FinishReason.CANCELLED if word in _STOPPED else FinishReason.STOP
