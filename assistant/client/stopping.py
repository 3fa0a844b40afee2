"""Ending our generator's process, whatever state it is in.

No pid files: they outlive their process. The kernel says who listens on the socket.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING

from assistant import paths
from assistant.client.calls import shutdown_generator
from assistant.errors import AssistantError, GeneratorError

if TYPE_CHECKING:
    import psutil

_LOCAL_PEERPID = 2
"""macOS, <sys/un.h>: who is at the other end of a Unix socket. Its level, SOL_LOCAL, is 0."""


class Stopped(StrEnum):
    """How the generator ended."""

    NOT_RUNNING = "not running"
    ASKED = "asked"
    TERMINATED = "terminated"
    KILLED = "killed"


def stop_running(*, terminate_after_s: float = 5.0, kill_after_s: float = 10.0) -> Stopped:
    """Ask our generator to end and wait until it has; insist if it does not.

    Args:
        terminate_after_s: Send SIGTERM after so long.
        kill_after_s: Send SIGKILL after so long, counted from the start as well.

    Raises:
        GeneratorError: Even that did not end it.
    """
    pid = find_server_pid()
    if pid is None:
        return Stopped.NOT_RUNNING
    import psutil  # 20 ms, and only for this

    try:
        process = psutil.Process(pid)  # remembers when it began: a later process of that number is spared
    except psutil.NoSuchProcess:
        return Stopped.ASKED
    began = time.monotonic()
    with contextlib.suppress(AssistantError):  # it hangs, or its token is gone: signals need neither
        shutdown_generator(timeout_s=terminate_after_s)
    steps = [(terminate_after_s, Stopped.ASKED), (kill_after_s, Stopped.TERMINATED)]
    for until_s, how in [*steps, (kill_after_s + 5.0, Stopped.KILLED)]:
        while time.monotonic() < began + until_s:
            if _has_ended(process):
                return how
            time.sleep(0.05)
        try:
            process.send_signal(signal.SIGTERM if how is Stopped.ASKED else signal.SIGKILL)
        except psutil.NoSuchProcess:
            return how
    raise GeneratorError(f"the generator, process {pid}, cannot be ended")


def find_server_pid() -> int | None:
    """Return the process that listens on our generator's socket, or None where none does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(os.fspath(paths.socket_path()))
            if sys.platform == "darwin":
                return probe.getsockopt(0, _LOCAL_PEERPID)
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        except OSError:
            return None
    pid: int = struct.unpack("3i", credentials)[0]
    return pid if pid > 0 else None  # 0: it lives in another process namespace, out of reach


def _has_ended(process: psutil.Process) -> bool:
    import psutil

    try:
        # One whose parent has not asked about it yet keeps its number.
        is_over = not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        is_over = True
    # A killed process is over when its first thread is; the others may still hold the socket.
    return is_over and find_server_pid() != process.pid
