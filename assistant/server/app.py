"""The routes. Each unpacks a request, asks whoever knows, and packs the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from assistant.config import SamplingSettings
from assistant.errors import AssistantError
from assistant.server.answers import Answer, Desk, count_tokens
from assistant.server.bodies import parse_chat, parse_completion, parse_count
from assistant.server.guards import build_guards, is_unix
from assistant.server.host import ModelHost
from assistant.server.ledger import Ledger
from assistant.server.pages import About, render_health, render_models, render_status
from assistant.server.refusals import RefusedError, refusal_of
from assistant.server.threads import call_in_thread


class Routes:
    """What the server can be asked.

    Args:
        host: The models.
        about: The process.
        defaults: How answers are chosen where a request does not say.
        on_shutdown: Ends the process.
    """

    def __init__(
        self, host: ModelHost, about: About, defaults: SamplingSettings, on_shutdown: Callable[[], None]
    ) -> None:
        self.ledger = Ledger()
        self._host = host
        self._about = about
        self._defaults = defaults
        self._on_shutdown = on_shutdown
        self._desk = Desk(host=host, ledger=self.ledger, encoding=threading.Lock())

    def build(self) -> list[Route]:
        """Return all routes."""
        return [
            Route("/health", self.health),
            Route("/v1/status", self.status),
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/completions", self.complete, methods=["POST"]),
            Route("/tokenize", self.count, methods=["POST"]),
            Route("/v1/requests/{request_id}", self.cancel, methods=["DELETE"]),
            Route("/v1/shutdown", self.shut_down, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        """Whether a request would be answered now. The only page that needs no token."""
        status, content = render_health(self._host)
        return JSONResponse(content, status)

    async def status(self, request: Request) -> Response:
        """Everything worth knowing."""
        return JSONResponse(render_status(self._host, self.ledger, self._about))

    async def models(self, request: Request) -> Response:
        """The models that a request may name."""
        try:
            manifests = await call_in_thread(self._host.catalog.list_models)
        except AssistantError as error:
            raise refusal_of(error) from error
        return JSONResponse(render_models(manifests, self._host.wanted_name(), self._about))

    async def chat(self, request: Request) -> Answer:
        """Answer a conversation."""
        return Answer(parse_chat(await _read_body(request), self._defaults), self._desk)

    async def complete(self, request: Request) -> Answer:
        """Continue a text."""
        return Answer(parse_completion(await _read_body(request), self._defaults), self._desk)

    async def count(self, request: Request) -> Response:
        """Say how many tokens a text has, and how many prompt and answer may have together."""
        name, text = parse_count(await _read_body(request))
        count, context_tokens = await count_tokens(self._desk, name, text)
        return JSONResponse({"count": count, "max_model_len": context_tokens})

    async def cancel(self, request: Request) -> Response:
        """End one request."""
        if not self.ledger.cancel(request.path_params["request_id"]):
            raise RefusedError(404, "request_not_found", "no request of that id runs")
        return JSONResponse({"cancelled": True})

    async def shut_down(self, request: Request) -> Response:
        """End the process. Over TCP there is no such page."""
        if not is_unix(request.scope):
            raise HTTPException(404)
        self._on_shutdown()
        return JSONResponse({"stopping": True})


def build_app(routes: Routes, token: str) -> Starlette:
    """Put the guards before the routes."""
    app = Starlette(
        routes=routes.build(),
        middleware=build_guards(token),
        exception_handlers={HTTPException: _refuse_address, Exception: _refuse_bug},
    )
    app.router.redirect_slashes = False
    return app


async def _read_body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect:
        raise RefusedError(400, "disconnected", "the client went away") from None


async def _refuse_address(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = [(name.lower(), value) for name, value in (error.headers or {}).items()]
        message = "this address does not do that"
        return _Refusal(RefusedError(405, "method_not_allowed", message, headers=allowed))
    return _Refusal(RefusedError(404, "not_found", "there is nothing at this address"))


async def _refuse_bug(request: Request, error: Exception) -> Response:
    return _Refusal(RefusedError(500, "internal_error", "a bug; the generator's log has the details"))


class _Refusal(Response):
    def __init__(self, refusal: RefusedError) -> None:
        super().__init__(status_code=refusal.status)
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._refusal(scope, receive, send)
