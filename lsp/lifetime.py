"""When the process has to end: the editor that started it is gone, and its pipe may still be held open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

PARENT_POLL_S = 0.5


def watch_process(pid: int, on_death: Callable[[], None], *, poll_s: float = PARENT_POLL_S) -> bool:
    """Call back, on a thread of its own, when a process has ended.

    Args:
        pid: The editor's process, as it said itself.
        on_death: Called once.
        poll_s: Seconds between two looks.

    Returns:
        Whether it is watched: an editor outside of a container names a process that is none in here.
    """
    process = _find_process(pid)
    if process is None or not _is_alive(process):
        return False
    pause = threading.Event()

    def watch() -> None:
        while _is_alive(process):
            pause.wait(poll_s)
        on_death()

    threading.Thread(target=watch, name="lsp-editor-watch", daemon=True).start()
    return True


def _find_process(pid: int) -> psutil.Process | None:
    import psutil  # late: the handshake does not wait for it

    try:
        return psutil.Process(pid)
    except (psutil.Error, ValueError, OverflowError):
        return None


def _is_alive(process: psutil.Process) -> bool:
    import psutil

    try:
        # is_running compares the time of its start too: numbers are used again.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
