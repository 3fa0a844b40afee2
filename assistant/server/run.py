"""Starting the one server of this user, and leaving nothing behind when it ends.

The order: harden the process, take the lock, make the token, bind, and only then load anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from types import FrameType

from assistant import __version__, paths
from assistant.config import Config
from assistant.engine.interface import LoadModel
from assistant.errors import GeneratorError
from assistant.files import make_private_dir
from assistant.server.listening import Premises, listen_tcp, parse_tcp_place
from assistant.server.log import start_log
from assistant.server.running import SIGNALS, Deployment, Store, run_server
from assistant.server.scripted import read_script
from assistant.server.singleton import find_claim

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""Models are fetched by `assistant models pull`; the process that answers never fetches anything."""

_log = logging.getLogger(__name__)


def serve(
    config: Config,
    *,
    tcp: str | None = None,
    allow_remote: bool = False,
    foreground: bool = False,
    scripted: Path | None = None,
) -> int:
    """Be this user's generator until somebody ends it.

    Args:
        config: All settings.
        tcp: `ADDRESS:PORT` to listen on as well.
        allow_remote: Let `tcp` name an address that other machines reach.
        foreground: Write the log to standard error as well, and make it an error that another one serves.
        scripted: Serve a scripted model from this file instead of the store.

    Returns:
        The exit code: 0, also where another process serves already.

    Raises:
        UsageError: A directory, an address or the script cannot be used.
        StorageError: A file cannot be written.
        GeneratorError: In the foreground, another process serves.
    """
    _harden_process()
    place = None if tcp is None else parse_tcp_place(tcp, allow_remote=allow_remote)
    store = _open_store(config) if scripted is None else _open_script(scripted)
    logs = make_private_dir(paths.log_dir())
    make_private_dir(paths.runtime_dir())
    premises = Premises(paths.socket_path(), paths.token_path())
    claim = find_claim(paths.lock_path())
    if claim is None:
        if foreground:
            raise GeneratorError("another generator is running", hint="`assistant stop` ends it")
        sys.stderr.write("another generator is running: nothing to do\n")
        return 0
    try:
        _exit_on_signals()
        start_log(logs, to_terminal=foreground)
        _log.info("version %s, process %d", __version__, os.getpid())
        listeners = [] if place is None else [listen_tcp(*place)]
        _serve_on([premises.open(), *listeners], premises, config, store)
    finally:
        premises.remove()
        claim.release()
    return 0


def _serve_on(listeners: list[socket.socket], premises: Premises, config: Config, store: Store) -> None:
    deployment = Deployment(
        config=config,
        store=store,
        token=premises.token,
        listeners=listeners,
        end_at_once=lambda code: _end_at_once(premises, code),
        is_in_place=premises.is_in_place,
    )
    is_clean = asyncio.run(run_server(deployment))
    _log.info("ended")
    if not is_clean:
        # A thread is in the middle of a load. Taking the interpreter apart under it could crash.
        _end_at_once(premises, 0)


def _open_script(path: Path) -> Store:
    script = read_script(path)
    return Store(catalog=script, build_loader=script.build_loader)


def _open_store(config: Config) -> Store:
    from assistant.models.store import ModelStore  # late: a scripted server needs no store

    directory = paths.models_dir()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def build_loader() -> LoadModel:
        from assistant.engine.loading import create_loader  # late: torch costs seconds, on the loading thread

        return create_loader(config)

    return Store(catalog=ModelStore(directory), build_loader=build_loader, directory=directory)


def _harden_process() -> None:
    os.environ.update(OFFLINE)
    os.umask(0o077)
    # A core file would hold prompts, answers and the token.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _exit_on_signals() -> None:
    """Leave by the front door from now on. The event loop takes over when it runs."""
    if threading.current_thread() is not threading.main_thread():
        return

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(0)

    for number in SIGNALS:
        signal.signal(number, leave)


def _end_at_once(premises: Premises, code: int) -> None:
    premises.remove()
    os._exit(code)
