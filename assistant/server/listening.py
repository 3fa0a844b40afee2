"""The sockets a server listens on and the token that opens it, made by hand so that their modes are right.

Whoever holds the lock may remove a socket that its predecessor left; nobody else may.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
import socket
from pathlib import Path

from assistant.errors import UsageError
from assistant.files import storage_error, write_atomic

BACKLOG = 128
TOKEN_BYTES = 32

_TCP_PLACE = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<v4>[^:\[\]]+)):(?P<port>\d{1,5})")


class Premises:
    """The socket and the token file of a running server.

    Args:
        socket_file: Where the Unix socket goes.
        token_file: Where the token goes.
    """

    def __init__(self, socket_file: Path, token_file: Path) -> None:
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        """New at each start; it dies with the server."""
        self._socket_file = socket_file
        self._token_file = token_file
        self._identity: tuple[int, int] | None = None
        """Device and inode of our socket."""

    def open(self) -> socket.socket:
        """Write the token, then listen: who finds the socket finds its token.

        Raises:
            StorageError: A file cannot be written.
        """
        _unlink(self._socket_file)
        _unlink(self._token_file)
        write_atomic(self._token_file, self.token.encode("ascii"), mode=0o600)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # The mode is right from the first moment on, not after a chmod.
        old_mask = os.umask(0o177)
        try:
            listener.bind(os.fspath(self._socket_file))
            listener.listen(BACKLOG)
            self._identity = self._find_identity()
        except OSError as error:
            listener.close()
            raise storage_error(error, self._socket_file) from error
        finally:
            os.umask(old_mask)
        return listener

    def is_in_place(self) -> bool:
        """Whether clients still find us. A session's directory can be cleared away under a server's feet."""
        return self._identity is not None and self._find_identity() == self._identity

    def remove(self) -> None:
        """Take both away, the socket first, unless they are a successor's."""
        if self.is_in_place():
            _unlink(self._socket_file)
        with contextlib.suppress(OSError):
            if self._token_file.read_text(encoding="ascii", errors="replace") == self.token:
                _unlink(self._token_file)

    def _find_identity(self) -> tuple[int, int] | None:
        try:
            status = self._socket_file.lstat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def parse_tcp_place(text: str, *, allow_remote: bool) -> tuple[str, int]:
    """Read `ADDRESS:PORT`; port 0 takes a free one.

    Raises:
        UsageError: It is none, or other machines could reach it and `allow_remote` is not set.
    """
    match = _TCP_PLACE.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise UsageError(f"--tcp {text} is not ADDRESS:PORT", hint="for example 127.0.0.1:8080")
    host = match["v6"] or match["v4"]
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise UsageError(f"--tcp {text} has no IP address", hint="for example 127.0.0.1:8080") from None
    if not address.is_loopback and not allow_remote:
        raise UsageError(
            f"--tcp {text} could be reached from other machines",
            hint="use 127.0.0.1, or add --allow-remote; nothing is encrypted then",
        )
    return str(address), int(match["port"])


def listen_tcp(address: str, port: int) -> socket.socket:
    """Listen on TCP.

    Raises:
        UsageError: The address is taken, or is not this machine's.
    """
    is_v6 = ":" in address
    listener = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_v6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UsageError(f"cannot listen on {address} port {port}: {error.strerror}") from error
    return listener


def describe_listener(listener: socket.socket) -> str:
    """Name a socket as the status page shows it."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"tcp:{host}:{name[1]}"
