from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from assistant import limits
from assistant.config import SamplingSettings, ServerSettings
from assistant.server.app import Routes, build_app
from assistant.server.guards import BodyGuard
from assistant.server.host import ModelHost
from assistant.server.pages import About
from tests.server.harness import FakeCatalog, Live, Loads

TOKEN = "right-token"
ROUTES = [
    ("GET", "/health"),
    ("GET", "/v1/status"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/tokenize"),
    ("DELETE", "/v1/requests/chatcmpl-1"),
    ("POST", "/v1/shutdown"),
    ("GET", "/nowhere"),
    ("OPTIONS", "/v1/models"),
]
FOREIGN_HOSTS = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "127.0.0.1.nip.io:{port}",
    "foo.local:{port}",
    "foo.internal:{port}",
    "x.localhost:{port}",
    "localhost.:{port}",
    "LOCALHOST.:{port}",
    "Localhost:{port}",
    "0.0.0.0:{port}",
    "0.0.0.0",
    "[::]:{port}",
    "[::ffff:127.0.0.1]:{port}",
    "[0:0:0:0:0:0:0:1]:{port}",
    "::1:{port}",
    "127.1:{port}",
    "127.0.0.2:{port}",
    "127.0.0.01:{port}",
    "2130706433:{port}",
    "0x7f.1:{port}",
    "0x7f000001:{port}",
    "017700000001:{port}",
    "192.168.1.10:{port}",
    "10.0.0.1:{port}",
    "169.254.169.254:{port}",
    "localhost:99999",
    "localhost:1",
    "localhost:",
    "localhost",
    "127.0.0.1",
    "[::1]",
    "localhost:{port}0",
    "localhost:0{port}",
    "localhost:+{port}",
    "localhost@evil:{port}",
    "evil@localhost:{port}",
    "localhost:{port}@evil",
    "localhost:{port}/",
    "localhost:{port}#",
    "http://localhost:{port}",
    "localhost:{port},evil.example",
    "local host:{port}",
    "assistant",
    "-",
    "",
]
BROKEN_HOSTS = ["localhost\x00:{port}", "localhost:{port}\r evil", "localhost\n:{port}"]


async def ask(
    app: Any,
    method: str = "GET",
    path: str = "/v1/models",
    headers: Sequence[tuple[str, str]] = (),
    *,
    server: tuple[str, int | None] = ("127.0.0.1", 8080),
    body: Sequence[bytes] = (b"",),
) -> tuple[int, bytes, list[bytes]]:
    """Send one request to an ASGI application: status, body, and the parts of the body it left unread."""
    scope: Scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "server": server,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    parts = list(body)
    sent: list[Message] = []

    async def receive() -> Message:
        if not parts:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent), parts


def ask_guarded(*arguments: Any, **options: Any) -> tuple[int, bytes, list[bytes]]:
    """As `ask`, to the whole application."""

    async def run() -> tuple[int, bytes, list[bytes]]:
        host = ModelHost(FakeCatalog(None), Loads().build_loader, ServerSettings(), on_idle=lambda: None)  # type: ignore[arg-type]
        routes = Routes(host, About(transports=[]), SamplingSettings(), lambda: None)
        return await ask(build_app(routes, TOKEN), *arguments, **options)

    return asyncio.run(run())


def headers(**more: str) -> list[tuple[str, str]]:
    given = {"host": "localhost:8080", "authorization": f"Bearer {TOKEN}", **more}
    return [(name.replace("_", "-"), value) for name, value in given.items()]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_refuses_every_foreign_host(method: str, path: str) -> None:
    for host in [host.format(port=8080) for host in FOREIGN_HOSTS + BROKEN_HOSTS]:
        status, body, _ = ask_guarded(method, path, headers(host=host))
        assert (status, b"host_refused" in body) == (403, True), host


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_refuses_a_missing_and_a_second_host(method: str, path: str) -> None:
    one = headers()
    for wrong in (one[1:], [one[0], *one]):
        assert ask_guarded(method, path, wrong)[0] == 403


@pytest.mark.parametrize(
    "path", ["http://evil.example/health", "http://localhost:8080/health", "*", "", "h:1"]
)
def test_target_that_is_no_path_is_refused(path: str) -> None:
    assert ask_guarded("GET", path, headers())[0] == 403


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"])
def test_own_address_is_let_through(host: str) -> None:
    assert ask_guarded("GET", "/health", headers(host=host))[0] != 403


def test_address_at_which_a_connection_arrived_is_let_through() -> None:
    remote = ("192.168.1.10", 8080)
    assert ask_guarded("GET", "/v1/status", headers(host="192.168.1.10:8080"), server=remote)[0] == 200
    assert ask_guarded("GET", "/v1/status", headers(host="192.168.1.11:8080"), server=remote)[0] == 403


@pytest.mark.parametrize("host", ["localhost:80", "evil.example", "127.0.0.1", ""])
def test_unix_socket_has_its_own_two_names(host: str) -> None:
    unix = ("/run/s", None)
    assert ask_guarded("GET", "/v1/status", headers(host=host), server=unix)[0] == 403
    for name in ("localhost", "assistant"):
        assert ask_guarded("GET", "/v1/status", headers(host=name), server=unix)[0] == 200


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "mark",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:8080"},
        {"origin": "null"},
        {"origin": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-origin"},
    ],
)
def test_every_route_refuses_web_pages(method: str, path: str, mark: dict[str, str]) -> None:
    assert ask_guarded(method, path, headers(**mark))[0] == 403


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if route[1] != "/health"])
@pytest.mark.parametrize(
    "credentials",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong-token",
        f"Basic {TOKEN}",
        TOKEN,
        f"Bearer {TOKEN}x",
        "Bearer \xe9",
    ],
)
def test_every_route_but_health_needs_the_token(method: str, path: str, credentials: str) -> None:
    status, body, _ = ask_guarded(method, path, headers(authorization=credentials))
    assert (status, b"unauthorized" in body) == (401, True)


def test_second_token_is_refused() -> None:
    twice = [*headers(), ("authorization", f"Bearer {TOKEN}")]
    assert ask_guarded("GET", "/v1/status", twice)[0] == 401


def test_every_route_of_the_application_is_in_this_test() -> None:
    host = ModelHost(FakeCatalog(None), Loads().build_loader, ServerSettings(), on_idle=lambda: None)  # type: ignore[arg-type]
    routes = Routes(host, About(transports=[]), SamplingSettings(), lambda: None).build()
    tested = {path.replace("chatcmpl-1", "{request_id}") for _, path in ROUTES}
    assert {route.path for route in routes} <= tested


def test_health_needs_no_token() -> None:
    assert ask_guarded("GET", "/health", headers()[:1])[0] != 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/health"),
        ("GET", "/health/"),
        ("GET", "//health"),
        ("GET", "/v1/../health"),
        ("GET", "/Health"),
    ],
)
def test_what_only_looks_like_health_needs_the_token(method: str, path: str) -> None:
    assert ask_guarded(method, path, headers()[:1])[0] == 401


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx"],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/shutdown"])
def test_body_that_is_not_json_is_refused(kind: str, path: str) -> None:
    given = headers(content_type=kind, content_length="2")
    assert ask_guarded("POST", path, given, body=[b"{}"])[0] == 415


def test_compressed_body_is_refused() -> None:
    given = headers(content_type="application/json", content_length="2", content_encoding="gzip")
    assert ask_guarded("POST", "/v1/completions", given, body=[b"{}"])[0] == 415


def test_charset_after_the_content_type_is_no_harm() -> None:
    given = headers(content_type="application/json; charset=utf-8", content_length="2")
    assert ask_guarded("POST", "/v1/completions", given, body=[b"{}"])[0] == 400


@pytest.mark.parametrize("size", [str(limits.MAX_BODY_BYTES + 1), "9" * 30, "-1", "x"])
def test_body_declared_too_large_is_refused_unread(size: str) -> None:
    given = headers(content_type="application/json", content_length=size)
    status, _, unread = ask_guarded("POST", "/v1/completions", given, body=[b"{}"])
    assert (status, unread) == (413, [b"{}"])


def test_body_that_grows_too_large_is_not_read_to_its_end() -> None:
    given = headers(content_type="application/json", transfer_encoding="chunked")
    parts = [b" " * 1_000_000] * 50
    status, _, unread = ask_guarded("POST", "/v1/completions", given, body=parts)
    assert (status, len(unread)) == (413, 45)


def test_body_without_the_token_is_not_read() -> None:
    given = [*headers()[:1], ("content-type", "application/json"), ("content-length", "2")]
    status, _, unread = ask_guarded("POST", "/v1/completions", given, body=[b"{}"])
    assert (status, unread) == (401, [b"{}"])


def test_body_that_does_not_come_is_a_408() -> None:
    async def read_body(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()

    status, body, _ = asyncio.run(ask(BodyGuard(read_body, timeout_s=0.01), "POST", body=[]))
    assert (status, b'"timeout"' in body) == (408, True)


def test_reply_to_a_web_page_carries_no_cors_header(live: Live) -> None:
    with live.client() as client:
        response = client.options("/v1/models", headers={"origin": "http://evil.example"})
    assert response.status_code == 403
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_refusal_repeats_nothing_that_was_sent(live: Live) -> None:
    with live.client() as client:
        for response in (
            client.get("/MARKER", headers={"x": "MARKER"}),
            client.get("/v1/models", headers={"host": "MARKER"}),
            client.get("/v1/models", headers={"authorization": "Bearer MARKER"}),
            client.post("/v1/completions", json={"prompt": "x", "model": "MARKER"}),
            client.post("/v1/completions", json={"prompt": {"MARKER MARKER": 1}}),
            client.post("/v1/completions", json={"prompt": "x", "stop": "MARKER" * 100}),
            client.delete("/v1/requests/MARKER"),
        ):
            assert response.status_code >= 400
            assert "MARKER" not in response.text


def send_raw(port: int, request: bytes) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        reply = connection.recv(65536)
    return int(reply.split(b" ")[1])


@pytest.fixture
def tcp(make_live: Callable[..., Live]) -> Live:
    return make_live(has_tcp=True).start()


def raw_request(live: Live, host: str, *, target: str = "/v1/status", version: str = "1.1") -> bytes:
    lines = [f"GET {target} HTTP/{version}", f"Host: {host}", f"Authorization: Bearer {live.token}", "", ""]
    return "\r\n".join(lines).encode("latin-1")


def test_tcp_refuses_foreign_hosts_on_the_wire(tcp: Live) -> None:
    for host in FOREIGN_HOSTS:
        status = send_raw(tcp.tcp_port, raw_request(tcp, host.format(port=tcp.tcp_port)))
        assert status == 403, host


@pytest.mark.parametrize("host", BROKEN_HOSTS)
def test_tcp_refuses_a_host_that_is_no_http(tcp: Live, host: str) -> None:
    assert send_raw(tcp.tcp_port, raw_request(tcp, host.format(port=tcp.tcp_port))) == 400


def test_tcp_answers_its_own_names(tcp: Live) -> None:
    for name in ("localhost", "127.0.0.1", "[::1]"):
        assert send_raw(tcp.tcp_port, raw_request(tcp, f"{name}:{tcp.tcp_port}")) == 200


def test_tcp_refuses_a_request_with_a_whole_url(tcp: Live) -> None:
    own = f"localhost:{tcp.tcp_port}"
    for authority in ("evil.example", own):
        request = raw_request(tcp, own, target=f"http://{authority}/v1/status")
        assert send_raw(tcp.tcp_port, request) == 403


def test_tcp_refuses_two_hosts_and_none(tcp: Live) -> None:
    own = f"localhost:{tcp.tcp_port}"
    request = raw_request(tcp, own)
    assert send_raw(tcp.tcp_port, request.replace(b"Host:", b"Host: evil.example\r\nHost:")) == 400
    assert send_raw(tcp.tcp_port, request.replace(f"Host: {own}\r\n".encode(), b"")) == 400
    old = raw_request(tcp, own, version="1.0").replace(f"Host: {own}\r\n".encode(), b"")
    assert send_raw(tcp.tcp_port, old) == 403


def test_tcp_cannot_end_the_server(tcp: Live) -> None:
    request = raw_request(tcp, f"localhost:{tcp.tcp_port}", target="/v1/shutdown")
    assert send_raw(tcp.tcp_port, request.replace(b"GET", b"POST")) == 404
    assert tcp.health()["status"] == "ready"
