"""What a request must be before any route sees it. Pure ASGI, outermost first; each refusal is a fixed text.

`127.0.0.1` is no protection by itself: web pages reach it, by DNS rebinding or plain forms. So a request over
TCP must name an address of this server, must not come from a page, and must carry the token, as over the Unix
socket, whose name a browser cannot even say.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import math

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from assistant import limits
from assistant.server.refusals import RefusedError

BODY_TIMEOUT_S = 10.0
LOCAL_NAMES = frozenset({"localhost", "assistant"})
"""What a client may call the server on its Unix socket, where a name means nothing."""
OPEN_PATHS = frozenset({"/health"})
"""Answered without a token, to GET and HEAD."""


def build_guards(token: str, *, body_timeout_s: float = BODY_TIMEOUT_S) -> list[Middleware]:
    """Return all guards, outermost first.

    Args:
        token: What every request but a health check must carry.
        body_timeout_s: Seconds for a request's body to arrive in.
    """
    return [
        Middleware(BodyGuard, timeout_s=body_timeout_s),
        Middleware(HostGuard),
        Middleware(PageGuard),
        Middleware(TokenGuard, token=token),
        Middleware(ContentGuard),
    ]


def is_unix(scope: Scope) -> bool:
    """Whether a request came over the Unix socket."""
    server = scope.get("server")
    return server is not None and server[1] is None


class BodyGuard:
    """Ends a body that is too large, before it is read to its end, or too slow."""

    def __init__(self, app: ASGIApp, *, timeout_s: float) -> None:
        self._app = app
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a `receive` that raises."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        try:
            if _declared_size(scope) > limits.MAX_BODY_BYTES:
                raise _too_large()
            await self._app(scope, _limited(receive, self._timeout_s), send)
        except RefusedError as refusal:
            await refusal(scope, receive, send)


def _declared_size(scope: Scope) -> float:
    declared = _header(scope, b"content-length") or b"0"
    return int(declared) if declared.isdigit() and len(declared) < 20 else math.inf


def _limited(receive: Receive, timeout_s: float) -> Receive:
    deadline = asyncio.get_running_loop().time() + timeout_s
    size, is_whole = 0, False

    async def receive_limited() -> Message:
        nonlocal size, is_whole
        if is_whole:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            close = [("connection", "close")]
            raise RefusedError(408, "timeout", "the body did not arrive in time", headers=close) from None
        size += len(message.get("body", b""))
        if size > limits.MAX_BODY_BYTES:
            raise _too_large()
        is_whole = not message.get("more_body", False)
        return message

    return receive_limited


def _too_large() -> RefusedError:
    return RefusedError(413, "too_large", f"the body is larger than {limits.MAX_BODY_BYTES} bytes")


class HostGuard:
    """Refuses a request that was not meant for this server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and not _is_for_us(scope):
            raise RefusedError(403, "host_refused", "the Host is none of this server's addresses")
        await self._app(scope, receive, send)


def _is_for_us(scope: Scope) -> bool:
    hosts = _headers(scope, b"host")
    # A path that does not start with a slash is a whole URL, or CONNECT's authority: for proxies.
    if len(hosts) != 1 or not scope["path"].startswith("/"):
        return False
    host = hosts[0].decode("latin-1")
    if is_unix(scope):
        return host in LOCAL_NAMES
    server = scope.get("server")
    return server is not None and host in _tcp_names(server[0], server[1])


def _tcp_names(address: str, port: int) -> set[str]:
    # The address that a connection came in at is ours, and no name that somebody's DNS could answer for.
    arrival = f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    names = {"127.0.0.1", "[::1]", "localhost", arrival}
    return {f"{name}:{port}" for name in names} | (names if port == 80 else set())


class PageGuard:
    """Refuses whatever a web page sends. There are no CORS headers either."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            sites = _headers(scope, b"sec-fetch-site")
            if _headers(scope, b"origin") or any(site != b"none" for site in sites):
                raise RefusedError(403, "origin_refused", "requests from web pages are refused")
        await self._app(scope, receive, send)


class TokenGuard:
    """Refuses a request without the token, whatever its path."""

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        self._app = app
        self._token = token.encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and not self._is_allowed(scope):
            challenge = [("www-authenticate", "Bearer")]
            raise RefusedError(401, "unauthorized", "the token is missing or wrong", headers=challenge)
        await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        if scope["path"] in OPEN_PATHS and scope["method"] in ("GET", "HEAD"):
            return True
        values = _headers(scope, b"authorization")
        scheme, _, credentials = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
        return scheme.lower() == b"bearer" and hmac.compare_digest(credentials.strip(), self._token)


class ContentGuard:
    """Refuses a body that is not plain JSON: a form of a web page can send any other kind."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http" and _has_body(scope) and not _is_plain_json(scope):
            raise RefusedError(415, "unsupported_media_type", "the Content-Type must be application/json")
        await self._app(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    return bool(_headers(scope, b"transfer-encoding")) or _header(scope, b"content-length") not in (b"", b"0")


def _is_plain_json(scope: Scope) -> bool:
    kind = _header(scope, b"content-type").partition(b";")[0].strip().lower()
    return kind == b"application/json" and _header(scope, b"content-encoding") in (b"", b"identity")


def _headers(scope: Scope, name: bytes) -> list[bytes]:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    return [value for key, value in headers if key == name]


def _header(scope: Scope, name: bytes) -> bytes:
    return next(iter(_headers(scope, name)), b"")
