"""HTTP connections to a generator: where it is, what proves who we are, and a way to cut one from any thread.

Knows no prompts and no answers.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
import ssl
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from assistant import __version__, paths
from assistant.client.failures import Place, UnreachableError, translated
from assistant.config import Config
from assistant.errors import ConfigError, GeneratorError

CONNECT_TIMEOUT_S = 10.0
WRITE_TIMEOUT_S = 30.0
MAX_PORT = 65535
TOKEN_VARIABLE = "ASSISTANT_GENERATOR_TOKEN"
"""The key of a foreign server. From the environment alone: a configuration file is no place for a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a generator is."""

    place: Place
    base_url: str
    """Without a slash at its end. A foreign server's, http://127.0.0.1:8000/v1, has the version in it."""
    socket: Path | None = None
    """The Unix socket of our own generator; None for a foreign server."""
    token: str = field(default="", repr=False)
    """The key of a foreign server. Ours has a new one at each of its starts, read from its file."""

    @property
    def is_ours(self) -> bool:
        """Whether this is the shared generator of this program."""
        return self.socket is not None


def build_own_endpoint() -> Endpoint:
    """Return the place of our own generator, running or not.

    Raises:
        UsageError: Its socket's path is too long.
    """
    place = Place(name="the generator", hint="`assistant doctor` says more", is_ours=True)
    return Endpoint(place=place, base_url="http://localhost", socket=paths.socket_path())


def build_endpoint(config: Config) -> Endpoint:
    """Return the place of the generator that the configuration selects.

    Raises:
        ConfigError: `generator.url` is no address, or the token cannot be sent.
        UsageError: The path of our own socket is too long.
    """
    if not config.generator.url:
        return build_own_endpoint()
    base_url = config.generator.url.rstrip("/")
    try:
        url = httpx2.URL(base_url)
    except httpx2.InvalidURL as error:
        raise ConfigError(f"generator.url is no address: {base_url!r} ({error})") from error
    if not url.host or not 0 < (url.port or 80) <= MAX_PORT:
        raise ConfigError(f"generator.url names no host and port that there can be: {base_url!r}")
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token.isascii() or not token.isprintable():
        raise ConfigError(f"{TOKEN_VARIABLE} holds characters that no token has")
    name = f"the generator at {url.copy_with(userinfo=b'')}"
    hint = "check generator.url, and that the server runs (most want /v1 at the end)"
    place = Place(name=name, hint=hint, is_ours=False)
    return Endpoint(place=place, base_url=base_url, token=token)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine. Such traffic never goes through a proxy."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


class Connection:
    """Sends requests to one endpoint, one at a time, until it is cut."""

    def __init__(self, endpoint: Endpoint, *, read_timeout_s: float) -> None:
        self._endpoint = endpoint
        self._read_timeout_s = read_timeout_s
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_cut = False

    @contextlib.contextmanager
    def send(
        self, method: str, path: str, content: Mapping[str, Any] | None = None
    ) -> Generator[httpx2.Response]:
        """Send a request and give its answer to read; only what is sent and its headers are errors here.

        Args:
            method: GET, POST…
            path: What follows the base URL.
            content: What the body says, as JSON.

        Raises:
            UnreachableError: Nothing of the request has arrived there.
            GeneratorError: The server cannot be talked to.
        """
        if self._endpoint.socket is not None:
            _check_listener(self._endpoint.socket, self._endpoint.place)
        with self._open_client() as client:
            request = client.build_request(
                method,
                self._endpoint.base_url + path,
                content=None if content is None else _encode_json(content),
                headers=self._headers(has_content=content is not None),
                extensions={"trace": self._trace},
            )
            with translated(self._endpoint.place):
                response = client.send(request, stream=True)
            try:
                yield response
            finally:
                with contextlib.suppress(httpx2.HTTPError):
                    response.close()

    def cut(self) -> None:
        """End whatever is sent or read now, and whatever will be. The server notices at once."""
        with self._lock:
            self._is_cut = True
            _shut(self._socket)

    def _open_client(self) -> httpx2.Client:
        timeout = httpx2.Timeout(
            connect=CONNECT_TIMEOUT_S,
            read=self._read_timeout_s,
            write=WRITE_TIMEOUT_S,
            pool=CONNECT_TIMEOUT_S,
        )
        bare = ssl.SSLContext(
            ssl.PROTOCOL_TLS_CLIENT
        )  # never used: reading the system's certificates is slow
        if self._endpoint.socket is not None:
            transport = httpx2.HTTPTransport(verify=bare, uds=str(self._endpoint.socket))
            return httpx2.Client(transport=transport, timeout=timeout, trust_env=False)
        url = httpx2.URL(self._endpoint.base_url)
        verify = httpx2.create_ssl_context() if url.scheme == "https" else bare
        try:
            return httpx2.Client(verify=verify, timeout=timeout, trust_env=not is_loopback(url.host))
        except (ImportError, ValueError) as error:
            raise GeneratorError(
                f"the proxy in the environment cannot be used: {error}",
                hint="unset ALL_PROXY or set NO_PROXY",
            ) from error

    def _headers(self, *, has_content: bool) -> dict[str, str]:
        headers = {
            "accept": "text/event-stream, application/json",
            "accept-encoding": "identity",  # a compressed stream arrives in lumps
            "user-agent": f"assistant/{__version__}",
        }
        if has_content:
            headers["content-type"] = "application/json"
        token = read_own_token() if self._endpoint.is_ours else self._endpoint.token
        if token:
            headers["authorization"] = f"Bearer {token}"
        return headers

    def _trace(self, name: str, event: Mapping[str, Any]) -> None:
        """Get hold of the socket as soon as there is one: httpx2 shows it only with the answer's headers."""
        if not name.endswith(("connect_tcp.complete", "connect_unix_socket.complete", "start_tls.complete")):
            return
        with self._lock:
            self._socket = event["return_value"].get_extra_info("socket")
            if self._is_cut:
                _shut(self._socket)


def read_own_token() -> str:
    """Read the token that our generator made at its start; empty where there is none."""
    try:
        return paths.token_path().read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _check_listener(path: Path, place: Place) -> None:
    """Look whether a process listens, as often none does: httpx2 does not close a socket that is refused."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIMEOUT_S)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise UnreachableError(f"{place.name} is not running", hint=place.hint) from error
        except OSError as error:
            raise GeneratorError(f"{place.name} lets nobody in: {error}", hint=place.hint) from error


def _encode_json(content: Mapping[str, Any]) -> bytes:
    # Half a character, as undecodable input leaves it, has no UTF-8: it becomes a question mark.
    return json.dumps(content, ensure_ascii=False).encode("utf-8", errors="replace")


def _shut(connected: socket.socket | None) -> None:
    if connected is not None:
        with contextlib.suppress(OSError):
            # The base class's: an SSLSocket's own would drop its TLS state under the thread that reads.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)
