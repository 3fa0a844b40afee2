from __future__ import annotations

import json
import socket
from collections.abc import Callable

import pytest

from assistant import limits
from assistant.server import connections
from tests.server.harness import Live, wait_until

JSON = "Content-Type: application/json"


def read_all(connection: socket.socket) -> bytes:
    parts: list[bytes] = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_reply(connection: socket.socket) -> tuple[int, bytes]:
    """One answer's status and body; the connection stays open."""
    reply = b""
    while b"\r\n\r\n" not in reply:
        reply += connection.recv(65536)
    head, body = reply.split(b"\r\n\r\n", 1)
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split(b" ")[1]), body


@pytest.fixture
def hasty(make_live: Callable[..., Live], monkeypatch: pytest.MonkeyPatch) -> Live:
    """A server with little patience for slow requests."""
    monkeypatch.setattr(connections, "HEAD_TIMEOUT_S", 0.2)
    return make_live().start()


def test_half_a_head_is_a_408_and_the_end(hasty: Live) -> None:
    with hasty.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        reply = read_all(connection)
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert json.loads(reply.split(b"\r\n\r\n")[1])["error"]["code"] == "timeout"


def test_connection_on_which_nothing_comes_is_closed(hasty: Live) -> None:
    with hasty.connect() as connection:
        assert read_all(connection) == b""


def test_head_that_trickles_is_not_waited_for(hasty: Live) -> None:
    with hasty.connect() as connection:
        connection.settimeout(0.05)
        reply = b""
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        while not reply:
            connection.sendall(b"x")
            try:
                reply = connection.recv(65536)
            except TimeoutError:
                continue
    assert reply.startswith(b"HTTP/1.1 408 ")


def test_body_that_never_ends_after_its_answer_is_cut_off(hasty: Live) -> None:
    with hasty.connect() as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        assert read_all(connection).startswith(b"HTTP/1.1 401 ")


def test_second_request_on_a_connection_has_its_own_time(hasty: Live) -> None:
    with hasty.connect() as connection:
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_reply(connection)[0] == 200
        connection.sendall(b"GET /hea")
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_request_in_two_parts_is_answered(live: Live) -> None:
    body = b'{"prompt":"x"}'
    head = live.head("POST", "/v1/completions", JSON, f"Content-Length: {len(body)}")
    with live.connect() as connection:
        for part in (head[:30], head[30:], body[:5], body[5:]):
            connection.sendall(part)
        assert read_reply(connection)[0] == 200


def test_two_requests_at_once_on_a_connection_are_both_answered(live: Live) -> None:
    with live.connect() as connection:
        connection.sendall(live.head("GET", "/health") + live.head("GET", "/v1/status", "Connection: close"))
        assert read_all(connection).count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /health\r\n\r\n",
        b"GET /health HTTP/x\r\nHost: localhost\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nbad header\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000,
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
    ids=["tls", "http09", "version", "header", "long", "digits", "negative", "coding", "lengths"],
)
def test_what_is_not_http_gets_an_error_in_the_shape_of_all_others(live: Live, request_bytes: bytes) -> None:
    with live.connect() as connection:
        connection.sendall(request_bytes)
        reply = read_all(connection)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert json.loads(reply.split(b"\r\n\r\n")[1])["error"]["code"] == "invalid_http"
    assert live.health()["status"] == "ready"


def test_body_that_turns_into_nonsense_ends_its_request_alone(live: Live) -> None:
    with live.connect() as connection:
        connection.sendall(live.head("POST", "/v1/completions", JSON, "Transfer-Encoding: chunked"))
        connection.sendall(b'5\r\n{"pro\r\nZZZ\r\n')
        assert read_all(connection).startswith(b"HTTP/1.1 400 ")
    assert live.answer()


def test_large_body_is_refused_and_its_rest_is_not_kept(live: Live) -> None:
    size = limits.MAX_BODY_BYTES * 8
    with live.connect() as connection:
        connection.sendall(live.head("POST", "/v1/completions", JSON, f"Content-Length: {size}"))
        assert read_reply(connection)[0] == 413
        for _ in range(8):
            connection.sendall(b" " * limits.MAX_BODY_BYTES)
        connection.sendall(live.head("GET", "/health"))
        assert read_reply(connection)[0] == 200


def test_body_of_the_largest_size_is_read(live: Live) -> None:
    start = b'{"prompt":"'
    body = start + b"x" * (limits.MAX_BODY_BYTES - len(start) - 2) + b'"}'
    with live.connect() as connection:
        connection.sendall(live.head("POST", "/v1/completions", JSON, f"Content-Length: {len(body)}") + body)
        _, reply = read_reply(connection)
    assert b"context_length_exceeded" in reply


def test_client_that_leaves_half_a_body_is_no_error(live: Live) -> None:
    with live.connect() as connection:
        connection.sendall(live.head("POST", "/v1/completions", JSON, "Content-Length: 100") + b"{")
    assert live.answer()


def test_another_users_connection_is_dropped(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "is_own_user", lambda _: False)
    with live.connect() as connection:
        assert connection.recv(10) == b""


def test_own_connection_is_known_as_such() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        assert connections.is_own_user(theirs)


def test_connections_beyond_the_limit_are_dropped(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 3)
    held = [live.connect() for _ in range(3)]
    for connection in held:
        connection.sendall(live.head("GET", "/health"))
        assert read_reply(connection)[0] == 200
    with live.connect() as one_too_many:
        assert one_too_many.recv(10) == b""
    held.pop().close()
    wait_until(lambda: live.health()["status"] == "ready")
    for connection in held:
        connection.close()
