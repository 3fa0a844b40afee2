"""Answers in OpenAI's shapes: one JSON body, or the chunks of a stream. Pure; knows no sockets.

Beyond OpenAI's fields an answer says its `seed`, its `timings` and what the `syntax_guard` did, and an
answer that was cancelled ends with the finish reason `cancelled`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from assistant.engine.interface import Ended, Finished, Piece, Report
from assistant.requests import FinishReason
from assistant.server.bodies import Order
from assistant.server.refusals import encode_json, refusal_of

DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"


@dataclass(slots=True, kw_only=True)
class Tally:
    """What has been reported of a job so far."""

    prompt_tokens: int
    accepted_at: float
    """This and all other times are in `time.monotonic` seconds."""
    texts: list[list[str]]
    """Pieces, for each of the `n` answers."""
    reasons: list[FinishReason | None]
    completion_tokens: int = 0
    first_tokens: int = 0
    """Those of the first report: the time before it was no decoding."""
    first_at: float | None = None
    last_at: float = 0.0
    ended: Ended | None = None

    def take(self, report: Report) -> None:
        """Count a report in."""
        now = time.monotonic()
        self.first_at = self.first_at or now
        self.last_at = now
        match report:
            case Piece():
                self.texts[report.index].append(report.text)
                self.first_tokens = self.first_tokens or report.tokens
                self.completion_tokens += report.tokens
            case Finished():
                self.reasons[report.index] = report.reason
            case Ended():
                self.ended = report

    def tokens_per_s(self) -> float | None:
        """Decoding speed, or None where there is too little to measure."""
        decode_s = self.ended.decode_s if self.ended else 0.0
        tokens = self.completion_tokens
        if not decode_s and self.first_at is not None:
            decode_s, tokens = self.last_at - self.first_at, tokens - self.first_tokens
        return round(tokens / decode_s, 2) if decode_s > 0 and tokens else None


def build_tally(order: Order, *, prompt_tokens: int, accepted_at: float) -> Tally:
    """Return the tally of a job that has not begun."""
    n = order.sampling.n
    return Tally(
        prompt_tokens=prompt_tokens,
        accepted_at=accepted_at,
        texts=[[] for _ in range(n)],
        reasons=[None] * n,
    )


@dataclass(slots=True, kw_only=True)
class Renderer:
    """Renders the answer to one order."""

    order: Order
    id: str
    model: str
    tally: Tally
    created: int = field(default_factory=lambda: int(time.time()))
    """Unix time."""
    _finished: Finished | None = field(default=None, init=False)

    def whole(self) -> dict[str, Any]:
        """The body of an answer that is not streamed."""
        choices: list[dict[str, Any]] = []
        for index, (pieces, reason) in enumerate(zip(self.tally.texts, self.tally.reasons, strict=True)):
            text = "".join(pieces)
            said: dict[str, Any] = {"text": text}
            if self.order.is_chat:
                said = {"message": {"role": "assistant", "content": text, "refusal": None}}
            choices.append({"index": index, **said, "logprobs": None, "finish_reason": reason})
        kind = "chat.completion" if self.order.is_chat else "text_completion"
        return {**self._frame(kind), "choices": choices, "usage": self._usage(), **self._extras()}

    def opening(self) -> bytes:
        """The first chunks of a stream: a chat's answers say who speaks."""
        indexes = range(self.order.sampling.n) if self.order.is_chat else ()
        return b"".join([self._chunk(index, "", role="assistant") for index in indexes])

    def chunk(self, report: Report) -> bytes:
        """What a stream says for one report. May be nothing."""
        match report:
            case Piece():
                return self._chunk(report.index, report.text) if report.text else b""
            case Finished():
                # The last one waits for the end, whose timings it carries.
                before, self._finished = self._finished, report
                return self._finish(before, {}) if before else b""
            case Ended():
                return self._end(report)

    def _end(self, ended: Ended) -> bytes:
        if ended.error is not None:
            return _event({"error": refusal_of(ended.error).error}) + DONE
        extras = self._extras()
        last = b""
        if self._finished is not None:
            last = self._finish(self._finished, {} if self.order.has_usage else extras)
        if self.order.has_usage:
            last += _event({**self._frame(self._kind), "choices": [], "usage": self._usage(), **extras})
        return last + DONE

    def _finish(self, finished: Finished, extras: dict[str, Any]) -> bytes:
        return self._chunk(finished.index, "", reason=finished.reason, extras=extras)

    @property
    def _kind(self) -> str:
        return "chat.completion.chunk" if self.order.is_chat else "text_completion"

    def _frame(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(
        self,
        index: int,
        text: str,
        *,
        reason: FinishReason | None = None,
        extras: dict[str, Any] | None = None,
        role: str = "",
    ) -> bytes:
        said: dict[str, Any] = {"text": text}
        if self.order.is_chat:
            delta = {"role": role, "content": text} if role else {"content": text} if text else {}
            said = {"delta": delta}
        choice = {"index": index, **said, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self.order.has_usage else {}
        return _event({**self._frame(self._kind), "choices": [choice], **usage, **(extras or {})})

    def _usage(self) -> dict[str, Any]:
        tally = self.tally
        cached = tally.ended.cached_tokens if tally.ended else 0
        return {
            "prompt_tokens": tally.prompt_tokens,
            "completion_tokens": tally.completion_tokens,
            "total_tokens": tally.prompt_tokens + tally.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    def _extras(self) -> dict[str, Any]:
        tally, ended = self.tally, self.tally.ended or Ended()
        waited = (tally.first_at or tally.accepted_at) - tally.accepted_at - ended.prefill_s
        timings = {
            "queue_s": round(max(0.0, waited), 4),
            "prefill_s": round(ended.prefill_s, 4),
            "decode_s": round(ended.decode_s, 4),
            "tokens_per_s": tally.tokens_per_s(),
        }
        extras: dict[str, Any] = {"seed": self.order.sampling.seed, "timings": timings}
        if self.order.sampling.syntax_guard:
            extras["syntax_guard"] = {"taken_back": ended.taken_back, "gave_up": ended.gave_up}
        return extras


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + encode_json(content) + b"\n\n"
