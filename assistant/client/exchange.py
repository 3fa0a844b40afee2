"""One request from its first attempt to its last event: starting, waiting, asking again, reading.

Knows what to do about each refusal; not how bytes travel, nor who reads the events.
"""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Callable

from assistant import launch
from assistant.client.answering import AnswerReader, read_text, stream_events
from assistant.client.asking import Call, build_foreign_call, build_own_call, find_milder_call
from assistant.client.calls import read_model_names
from assistant.client.connection import Connection, Endpoint
from assistant.client.failures import (
    Refusal,
    UnreachableError,
    busy_error,
    is_busy,
    is_loading,
    is_unknown_model,
    parse_refusal,
    refusal_error,
)
from assistant.config import Config
from assistant.errors import AssistantError, GeneratorError, GeneratorLostError, UnknownModelError
from assistant.requests import Event, Failed, Loading, Request

OWN_READ_TIMEOUT_S = 60.0
"""Ours sends a sign of life more often than this."""
FOREIGN_READ_TIMEOUT_S = 600.0
"""A foreign server may be silent while it computes a long prompt on a slow device."""
BUSY_PATIENCE_S = 120.0
MAX_RESTARTS = 3
"""Give up on a generator of ours that goes away so many times before it answers."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
LONGEST_ASKED_PAUSE_S = 10.0
"""The longest that a server's Retry-After is heeded."""


class Exchange:
    """One request and its events.

    Args:
        config: Which generator.
        endpoint: Where it is.
        request: What is asked.
        emit: Takes each event, on the thread that calls `run`.
    """

    def __init__(
        self, config: Config, endpoint: Endpoint, request: Request, emit: Callable[[Event], None]
    ) -> None:
        self._config = config
        self._endpoint = endpoint
        self._request = request
        self._emit = emit
        timeout_s = OWN_READ_TIMEOUT_S if endpoint.is_ours else FOREIGN_READ_TIMEOUT_S
        self._connection = Connection(endpoint, read_timeout_s=timeout_s)
        self._closed = threading.Event()
        self._began = time.monotonic()
        self._busy_since: float | None = None
        self._pause_s = FIRST_PAUSE_S
        self._has_answered = False
        self._has_reread_token = False
        self._last_loading: Loading | None = None

    def close(self) -> None:
        """End it from any thread: what waits is woken, and the server sees its client gone."""
        self._closed.set()
        self._connection.cut()

    def run(self) -> None:
        """Do all of it. Failures are events."""
        try:
            self._ask_until_answered()
        except AssistantError as error:
            self._emit(Failed(error=error))

    def _ask_until_answered(self) -> None:
        self._reach()
        call = self._build_call()
        restarts = 0
        while not self._closed.is_set():
            try:
                refusal = self._ask(call)
            except (UnreachableError, GeneratorLostError):
                # Between two requests ours may have ended for idleness; what nobody began to answer
                # can be asked again.
                restarts += 1
                if not self._endpoint.is_ours or self._has_answered or restarts > MAX_RESTARTS:
                    raise
                self._reach()
                continue
            if refusal is None:
                return
            call = self._next_call(call, refusal)

    def _reach(self) -> None:
        if self._endpoint.is_ours:
            launch.ensure_running(self._config, self._report, cancelled=self._closed)

    def _build_call(self) -> Call:
        if self._endpoint.is_ours:
            return build_own_call(self._request)
        settings = self._config.generator
        model = self._request.model or settings.model or self._first_model()
        return build_foreign_call(self._request, model=model, prompt_format=settings.prompt_format)

    def _first_model(self) -> str:
        names = read_model_names(self._connection, self._endpoint)
        if not names:
            raise GeneratorError(f"{self._endpoint.place.name} lists no models", hint="set generator.model")
        return names[0]

    def _ask(self, call: Call) -> Refusal | None:
        """Ask once; return why not, or None when the answer has been read to its end."""
        place = self._endpoint.place
        with self._connection.send("POST", call.path, call.body) as response:
            if response.status_code != 200:
                body = read_text(response, place)
                return parse_refusal(response.status_code, response.headers, body)
            self._has_answered = True
            request_id = response.headers.get("x-request-id", "")
            reader = AnswerReader(
                place,
                request_id=request_id,
                model=str(call.body["model"]),
                began=self._began,
                has_several=self._request.sampling.n > 1,
            )
            for event in stream_events(response, reader, place):
                self._emit(event)
        return None

    def _next_call(self, call: Call, refusal: Refusal) -> Call:
        """Wait, or find other words, and return what to ask next.

        Raises:
            AssistantError: What the refusal means, where asking again is of no use.
        """
        if is_loading(refusal):
            fraction = refusal.fields.get("fraction")
            stage = str(refusal.fields.get("stage") or "loading the model")
            self._report(
                Loading(stage=stage, fraction=float(fraction) if isinstance(fraction, int | float) else None)
            )
            self._wait(refusal)
            return call
        if is_busy(refusal):
            self._lose_patience(refusal)
            self._report(Loading(stage="waiting for a free slot"))
            self._wait(refusal)
            return call
        if refusal.code == "stopping" and self._endpoint.is_ours:
            self._lose_patience(refusal)
            self._report(Loading(stage="waiting for the generator to restart"))
            self._wait(refusal)
            self._reach()
            return call
        if refusal.status == 401 and self._endpoint.is_ours and not self._has_reread_token:
            self._has_reread_token = True  # each attempt reads it: it changes when the generator restarts
            return call
        milder = find_milder_call(call, refusal)
        if milder is not None:
            return milder
        raise self._error_of(refusal, str(call.body["model"]))

    def _error_of(self, refusal: Refusal, model: str) -> AssistantError:
        error = refusal_error(refusal, self._endpoint.place)
        if self._endpoint.is_ours or not is_unknown_model(refusal):
            return error
        try:
            names = read_model_names(self._connection, self._endpoint)
        except AssistantError:
            return error
        nearest = difflib.get_close_matches(model, names, n=3, cutoff=0.4) or names[:3]
        return UnknownModelError(
            error.message, hint=f"it serves {', '.join(nearest)}" if nearest else error.hint
        )

    def _lose_patience(self, refusal: Refusal) -> None:
        self._busy_since = self._busy_since or time.monotonic()
        if time.monotonic() - self._busy_since > BUSY_PATIENCE_S:
            raise busy_error(refusal, self._endpoint.place)

    def _report(self, loading: Loading) -> None:
        if loading != self._last_loading:
            self._last_loading = loading
            self._emit(loading)

    def _wait(self, refusal: Refusal) -> None:
        pause_s = self._pause_s
        if is_busy(refusal) and refusal.retry_after_s is not None:
            pause_s = max(pause_s, min(refusal.retry_after_s, LONGEST_ASKED_PAUSE_S))
        self._closed.wait(pause_s)
        self._pause_s = min(self._pause_s * 1.6, LONGEST_PAUSE_S)
