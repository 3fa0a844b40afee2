"""One server per user: a lock that the kernel takes back when its holder dies, however it dies.

No pid files: they outlive their process, and numbers are used again.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from assistant.files import storage_error


class Claim:
    """The right to be the server, held until the process ends or `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another process be the server. The file stays: removing it would let two hold the lock."""
        os.close(self._descriptor)


def find_claim(lock_file: Path) -> Claim | None:
    """Take the lock, or return None where another process holds it.

    Raises:
        StorageError: The file cannot be opened.
    """
    try:
        # Not inherited: a child must not keep the lock after our end.
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise storage_error(error, lock_file) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return Claim(descriptor)
