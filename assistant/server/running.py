"""One server's life on the event loop: start, serve, stop within seconds. Knows no files but its sockets'."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from assistant.config import Config
from assistant.engine.interface import LoadModel
from assistant.server.app import Routes, build_app
from assistant.server.catalog import Catalog
from assistant.server.connections import LimitedProtocol
from assistant.server.host import ModelHost
from assistant.server.listening import describe_listener
from assistant.server.log import note_loop_exception
from assistant.server.pages import About
from assistant.server.watch import StoreWatch

STOP_S = 3.0
"""The process has ended so long after it was asked to."""
DRAIN_S = 1
"""Answers that were cancelled get so long to reach their clients."""
KEEP_ALIVE_S = 75
PLACE_CHECK_S = 10.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """Where models come from."""

    catalog: Catalog
    build_loader: Callable[[], LoadModel]
    """Called on a thread, when first needed."""
    directory: Path | None = None
    """What to watch for another active model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything that a server is made of."""

    config: Config
    store: Store
    token: str
    listeners: Sequence[socket.socket]
    end_at_once: Callable[[int], None]
    """Ends the process with an exit code, whatever it does."""
    is_in_place: Callable[[], bool]
    """Whether clients still find the server."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handling, which ends the process by the signal, and without its clock."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.exit_asked = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to `run_server`."""
        yield

    async def main_loop(self) -> None:
        """Wait for the end without waking up ten times a second."""
        await self.exit_asked.wait()


async def run_server(deployment: Deployment) -> bool:
    """Serve until a signal, a request or idleness ends it.

    Returns:
        Whether all threads have ended; one may still be loading a model.
    """
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(note_loop_exception)
    stop = asyncio.Event()
    _handle_signals(loop, stop, deployment.end_at_once)
    config, store = deployment.config, deployment.store
    host = ModelHost(store.catalog, store.build_loader, config.server, on_idle=stop.set)
    about = About(transports=[describe_listener(listener) for listener in deployment.listeners])
    routes = Routes(host, about, config.sampling, stop.set)
    server = _build_server(routes, deployment.token)
    serving = loop.create_task(server.serve(sockets=list(deployment.listeners)))
    watch = _start_watch(store.directory, host)
    chores = [loop.create_task(host.start()), loop.create_task(_end_when_lost(deployment, stop))]
    waiting = loop.create_task(stop.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)

    _log.info("stopping")
    deadline = threading.Timer(STOP_S, deployment.end_at_once, [0])
    deadline.daemon = True
    deadline.start()
    if watch is not None:
        watch.stop()
    for chore in chores:
        chore.cancel()
    host.refuse_all()
    routes.ledger.cancel_all()
    server.exit_asked.set()
    await serving
    is_clean = await host.stop()
    deadline.cancel()
    return is_clean


async def _end_when_lost(deployment: Deployment, stop: asyncio.Event) -> None:
    """End a server that no client can find any more: the next client starts another one."""
    while deployment.is_in_place():
        await asyncio.sleep(PLACE_CHECK_S)
    _log.warning("the socket is gone")
    stop.set()


def _build_server(routes: Routes, token: str) -> _Server:
    return _Server(
        uvicorn.Config(
            build_app(routes, token),
            loop="asyncio",
            http=LimitedProtocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )


def _start_watch(directory: Path | None, host: ModelHost) -> StoreWatch | None:
    if directory is None:
        return None
    tasks: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.get_running_loop().create_task(host.reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    watch = StoreWatch(directory, reload)
    watch.start()
    return watch


def _handle_signals(
    loop: asyncio.AbstractEventLoop, stop: asyncio.Event, end_at_once: Callable[[int], None]
) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # the system delivers signals to the main thread alone

    def handle(number: signal.Signals) -> None:
        if stop.is_set():
            end_at_once(128 + number)
        stop.set()

    for number in SIGNALS:
        loop.add_signal_handler(number, handle, number)
