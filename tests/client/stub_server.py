"""A web server that says exactly what a test tells it to, over a Unix socket or loopback TCP."""

from __future__ import annotations

import contextlib
import itertools
import json
import socketserver
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

WAIT_S = 20.0
Part = bytes | threading.Event
"""Bytes to send, or an event to wait for."""


@dataclass(frozen=True, kw_only=True)
class Received:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    """0 hangs up without a word."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: tuple[Part, ...] = ()
    is_whole: bool = True
    """False breaks the connection off after the parts."""
    is_closed_by: threading.Event | None = None
    """Set once the client has gone, which is waited for after the parts."""


def json_reply(content: object, *, status: int = 200, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        status=status,
        headers={"content-type": "application/json", **names},
        parts=(json.dumps(content).encode(),),
    )


def error_reply(status: int, code: str, message: str = "no", **fields: object) -> Reply:
    return json_reply(
        {"error": {"message": message, "type": "x", "code": code, "param": None, **fields}}, status=status
    )


def sse(*chunks: object) -> bytes:
    texts = (chunk if isinstance(chunk, str) else json.dumps(chunk) for chunk in chunks)
    return b"".join(f"data: {text}\n\n".encode() for text in texts)


def delta(
    content: str | None = None, *, index: int = 0, finish_reason: str | None = None, **more: object
) -> Any:
    said = {} if content is None else {"content": content}
    choice = {"index": index, "delta": said, "finish_reason": finish_reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "model": "stub",
        "choices": [choice],
        **more,
    }


def stream_reply(*parts: Part, **kinds: Any) -> Reply:
    return Reply(headers={"content-type": "text/event-stream", "x-request-id": "req-1"}, parts=parts, **kinds)


def answer_reply(*texts: str, **usage_fields: object) -> Reply:
    """What our own generator sends for an answer of these pieces."""
    usage = {"prompt_tokens": 7, "completion_tokens": len(texts), "total_tokens": 7 + len(texts)}
    return stream_reply(
        sse(delta("")),
        *(sse(delta(text)) for text in texts),
        sse(delta(finish_reason="stop")),
        sse({"id": "c", "model": "stub", "choices": [], "usage": usage, **usage_fields}, "[DONE]"),
    )


READY = json_reply({"status": "ready", "protocol": 1, "version": "99.0"})


class StubServer:
    """Answers each route with the replies it was given, in order; the last repeats."""

    def __init__(self, socket_path: Path | None = None) -> None:
        self.requests: list[Received] = []
        self._replies: dict[str, list[Reply]] = {}
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"stub": self})
        if socket_path is None:
            self._server: socketserver.BaseServer = _TcpServer(("127.0.0.1", 0), handler)
            self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        else:
            self._server = _UnixServer(str(socket_path), handler)
            self.url = ""
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def on(self, route: str, *replies: Reply) -> None:
        """Give the replies for a route, written `POST /v1/chat/completions`."""
        self._replies[route] = list(replies)

    def received(self, path: str) -> list[Received]:
        return [request for request in self.requests if request.path == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take_reply(self, request: Received) -> Reply:
        with self._lock:
            self.requests.append(request)
            replies = self._replies.get(f"{request.method} {request.path}")
            if not replies:
                return error_reply(404, "", f"no route {request.method} {request.path}")
            return replies.pop(0) if len(replies) > 1 else replies[0]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: StubServer

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_CONNECT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Received(method=self.command, path=self.path, headers=headers, body=body)
        reply = self.stub.take_reply(request)
        with contextlib.suppress(OSError):  # the client may go away
            self._send(reply)
        if reply.is_closed_by is not None:
            self.connection.settimeout(WAIT_S)
            try:
                is_gone = self.connection.recv(1) == b""
            except ConnectionError:
                is_gone = True
            if is_gone:
                reply.is_closed_by.set()

    def _send(self, reply: Reply) -> None:
        if not reply.status:
            return
        self.send_response(reply.status)
        for name, value in {**reply.headers, "transfer-encoding": "chunked", "connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        for part in reply.parts:
            if isinstance(part, threading.Event):
                part.wait(WAIT_S)
            elif part:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
                self.wfile.flush()
        if reply.is_whole and reply.is_closed_by is None:
            self.wfile.write(b"0\r\n\r\n")


class _TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


def chunk_bytes(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut at the given places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]
