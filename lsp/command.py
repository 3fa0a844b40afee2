"""`assistant lsp`: the language server as editors start it, and what it says to a person who does.

Imports nothing but what the command line has loaded: standard output is claimed before anything else can
write to it.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import TYPE_CHECKING, BinaryIO, NoReturn, cast

import click

from assistant.errors import UsageError
from lsp.stdio import Streams, claim_streams

if TYPE_CHECKING:
    from lsp.actions.registry import ActionSet
    from lsp.backend import Backend

INTERRUPTED = 130
EXAMPLE = "127.0.0.1:9257"


@click.command("lsp", epilog="Example: assistant lsp --check shapes.py")
@click.option("--tcp", metavar="HOST:PORT", help=f"Serve one client on loopback, not on stdio: {EXAMPLE}.")
@click.option(
    "--check",
    metavar="[FILE]",
    is_flag=False,
    flag_value="",
    help="Say what would happen in an editor, for a file where one is named, and end.",
)
@click.option("--stdio", is_flag=True, hidden=True, help="What happens anyway; some editors say so.")
@click.option("--clientProcessId", "client_process", hidden=True, help="The editor says it again itself.")
def lsp(tcp: str | None, check: str | None, *, stdio: bool, client_process: str | None) -> int:
    """Offer code actions to an editor: it starts this itself.

    See docs/editors.md for what to paste into the editor's settings.
    """
    if check is not None:
        from lsp.check import run_check

        return run_check(check)
    if tcp is not None:
        return _serve_tcp(*parse_place(tcp))
    if not stdio and sys.stdin is not None and sys.stdin.isatty():
        raise UsageError(
            "an editor starts this and talks to it; a person would have to type the protocol",
            hint="`assistant lsp --check` says what would happen; docs/editors.md has the settings to paste",
        )
    return _serve_and_exit(claim_streams())


def parse_place(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`, of this machine alone; port 0 takes a free one.

    Raises:
        UsageError: It is none, or other machines could reach it.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--tcp {text} is not HOST:PORT", hint=f"for example {EXAMPLE}")
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise UsageError(f"--tcp {text} has no IP address", hint=f"for example {EXAMPLE}") from None
    if not address.is_loopback:
        raise UsageError(
            f"--tcp {text} could be reached by other machines", hint=f"use a loopback address: {EXAMPLE}"
        )
    return str(address), int(port)


def run_server(streams: Streams, actions: ActionSet, backend: Backend) -> int:
    """Serve one client and return the exit code. The process should end then: threads may be waiting."""
    from lsp.connection import serve
    from lsp.server import create_server

    return serve(create_server(actions, backend), streams, abort=os._exit)


def _serve_and_exit(streams: Streams) -> NoReturn:
    from lsp.actions.catalog import read_actions
    from lsp.backend import ConfiguredBackend

    try:
        code = run_server(streams, read_actions(), ConfiguredBackend())
    except KeyboardInterrupt:
        code = INTERRUPTED
    # Not sys.exit: a thread that waits for a generator must not keep an editor waiting.
    sys.stderr.flush()
    os._exit(code)


def _serve_tcp(host: str, port: int) -> NoReturn:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=1) as listener:
        click.echo(f"waiting for one editor on {host}:{listener.getsockname()[1]}; Ctrl-C ends it", err=True)
        connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    streams = Streams(
        incoming=cast("BinaryIO", connection.makefile("rb")),
        outgoing=cast("BinaryIO", connection.makefile("wb", buffering=0)),
    )
    _serve_and_exit(streams)
