"""HTTP connections with limits that uvicorn lacks: slow heads, idle readers, other users, too many at once.

Knows no requests.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from http import HTTPStatus
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEAD_TIMEOUT_S = 10.0
"""From a request's first byte to its last, body included, and from a connection to its first byte."""
WRITE_TIMEOUT_S = 10.0
"""A peer that takes nothing for so long is cut off."""
MAX_CONNECTIONS = 256


class LimitedProtocol(H11Protocol):
    """One connection."""

    _read_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or drop it."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS or not is_own_user(transport.get_extra_info("socket")):
            transport.abort()
            return
        self._read_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up_reading)

    def data_received(self, data: bytes) -> None:
        """Start the clock with a request's first byte, and stop it with its last."""
        super().data_received(data)
        if self._is_reading():
            if self._read_timer is None:
                self._read_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up_reading)
        else:
            self._read_timer = _cancel(self._read_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clocks."""
        self._read_timer = _cancel(self._read_timer)
        self._write_timer = _cancel(self._write_timer)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give a peer that does not read some time."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        self._write_timer = _cancel(self._write_timer)

    def shutdown(self) -> None:
        """Do not wait for the rest of a request when the server ends."""
        if self.transport.is_closing():
            return
        if self._is_reading():
            self.transport.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, in the shape of all other errors."""
        self._refuse(HTTPStatus.BAD_REQUEST, "invalid_http", "this is not a valid HTTP request")

    def _is_reading(self) -> bool:
        """Whether a part of a request is here, and a part is not."""
        unread, _ = self.conn.trailing_data
        return self.conn.their_state is h11.SEND_BODY or (self.conn.their_state is h11.IDLE and bool(unread))

    def _give_up_reading(self) -> None:
        self._read_timer = None
        if self.transport.is_closing():
            return
        unread, _ = self.conn.trailing_data
        if self.conn.their_state is h11.IDLE and unread:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "timeout", "the request did not arrive in time")
        elif self.conn.our_state is not h11.SEND_RESPONSE or self.conn.their_state is h11.IDLE:
            self.transport.close()
        # Otherwise the application is still waiting for the body and answers 408 itself.

    def _refuse(self, status: HTTPStatus, code: str, message: str) -> None:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            # Whoever works on this request learns that nobody waits for its answer.
            cycle.disconnected = True
            cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            error = {"message": message, "type": "invalid_request_error", "code": code, "param": None}
            body = json.dumps({"error": error}).encode()
            headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
            head = h11.Response(
                status_code=status, headers=[*headers, ("connection", "close")], reason=status.phrase.encode()
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def is_own_user(connection: socket.socket) -> bool:
    """Whether the peer of a Unix socket is this user, or root. True where that cannot be known."""
    if connection.family != getattr(socket, "AF_UNIX", None) or not hasattr(socket, "SO_PEERCRED"):
        return True
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return user in (0, os.getuid())


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
