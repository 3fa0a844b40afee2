"""Locks between processes. The kernel frees a lock when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from pathlib import Path

from assistant.errors import ModelError
from assistant.files import storage_error

WAIT_S = 60.0
"""The store's own lock is held for some renames: whoever waits longer waits for a process that hangs."""
POLL_S = 0.05


@contextlib.contextmanager
def hold_lock(
    path: Path, what: str, *, wait_s: float = WAIT_S, waiting: Callable[[], bool] | None = None
) -> Generator[None]:
    """Hold a lock.

    Args:
        path: The lock's file; it stays there.
        what: What it is the lock of, for the error.
        wait_s: How long to wait for another holder.
        waiting: Called now and then while another holds it; returns True to go on without the lock.

    Raises:
        ModelError: Another process holds it for too long.
        StorageError: The lock's file cannot be made.
    """
    import filelock  # late: reading the store needs no lock

    lock = filelock.FileLock(path, mode=0o600)
    deadline = time.monotonic() + wait_s
    while True:
        try:
            lock.acquire(timeout=0, poll_interval=POLL_S)
            break
        except filelock.Timeout:
            pass
        except OSError as error:
            raise storage_error(error, path) from error
        if waiting is not None and waiting():
            break
        if time.monotonic() > deadline:
            raise ModelError(
                f"another process holds {what} for more than {wait_s:g} s",
                hint=f"end it, and try again; the lock is {path}",
            )
        time.sleep(POLL_S)
    try:
        yield
    finally:
        lock.release()


def is_lock_free(path: Path) -> bool:
    """Whether nobody holds a lock now. One whose file is missing is free."""
    import filelock

    if not path.exists():
        return True
    lock = filelock.FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except (filelock.Timeout, OSError):
        return False
    lock.release()
    return True
