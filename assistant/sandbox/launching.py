"""Starts child processes from one thread that lives as long as this process does.

A child that asks to die with its parent dies with the parent's *thread*: started from a worker thread, it
would be killed as soon as that thread ends. Knows nothing of sandboxes.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to start."""

    argv: Sequence[str]
    stdout: int
    """A descriptor for standard output and standard error."""
    descriptors: tuple[int, ...] = ()
    """What it inherits beside its standard streams, under the same numbers."""
    environment: dict[str, str] = field(default_factory=dict[str, str])


class _Launcher:
    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        thread = threading.Thread(target=self._serve, name="sandbox-launcher", daemon=True)
        thread.start()

    def launch(self, command: Command) -> subprocess.Popen[bytes]:
        child: Future[subprocess.Popen[bytes]] = Future()

        def order() -> None:
            try:
                child.set_result(_spawn(command))
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                child.set_exception(error)

        self._orders.put(order)
        return child.result()

    def _serve(self) -> None:
        while True:
            self._orders.get()()


_lock = threading.Lock()
_launchers: list[_Launcher] = []
"""None or one. A forked child has none of our threads, so it makes its own."""


def launch(command: Command) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, with nothing to read.

    Raises:
        OSError: It cannot be started.
    """
    with _lock:
        if not _launchers:
            _launchers.append(_Launcher())
        launcher = _launchers[0]
    return launcher.launch(command)


def _spawn(command: Command) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command.argv,
        stdin=subprocess.DEVNULL,
        stdout=command.stdout,
        stderr=command.stdout,
        pass_fds=command.descriptors,
        env=command.environment,
        cwd="/",
        start_new_session=True,
    )


def _forget_after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    with contextlib.suppress(IndexError):
        _launchers.pop()


os.register_at_fork(after_in_child=_forget_after_fork)
