"""Writing files so that a reader finds the old content or the new, never a part of either.

The order is: temporary file in the same directory, write, fsync, rename, fsync of the directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from assistant.errors import AssistantError, StorageError, UsageError


def make_private_dir(path: Path) -> Path:
    """Make a directory that only this user can enter, or check that it is one.

    Raises:
        UsageError: It exists and is a link, somebody else's, or open to others.
        StorageError: It cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
    except OSError as error:
        raise storage_error(error, path) from error
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{path} is not a directory", hint="remove it, or set ASSISTANT_HOME")
    if hasattr(os, "getuid") and status.st_uid != os.getuid():
        raise UsageError(f"{path} belongs to another user", hint="set ASSISTANT_HOME to your own")
    if os.name == "posix" and status.st_mode & 0o077:
        raise UsageError(
            f"{path} can be entered by others (mode {stat.S_IMODE(status.st_mode):04o})",
            hint=f"chmod 700 {path}",
        )
    return path


def write_atomic(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replace a file's content at once.

    Args:
        path: The file. A link is followed, so that what it points to is replaced.
        content: All of its bytes.
        mode: Permission bits; by default those of the file that is replaced, else what the umask leaves.

    Raises:
        StorageError: Nothing was changed.
    """
    path = Path(os.path.realpath(path))
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    try:
        if mode is None and path.exists():
            mode = stat.S_IMODE(path.stat().st_mode)
        descriptor = os.open(temporary, flags, 0o666 if mode is None else mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if mode is not None:
                temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_dir(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error


def sync_dir(path: Path) -> None:
    """Flush a directory's entries to the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def storage_error(error: OSError, path: Path) -> AssistantError:
    """Say in the user's words why a file could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"no space left for {path}", hint="free some space; nothing that was there is lost"
        )
    reason = error.strerror or type(error).__name__
    return StorageError(f"cannot write {path}: {reason}")
