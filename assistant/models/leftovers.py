"""What moves in and out of the store, and what is left of that when a process is killed half-way.

All but `scan` is called with the store's lock held. Raises plain `OSError`: its callers know the words.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import time
from pathlib import Path

from assistant.files import sync_dir
from assistant.models.locks import is_lock_free
from assistant.models.staging import LOCK_NAME, STAGING_PREFIX

TRASH_PREFIX = ".trash-"
PACKED_NAME = ".packed"
PARTIAL_PREFIX = ".partial-"
"""Downloads that were interrupted and can be continued."""
STAGING_MAX_AGE_S = 24 * 3600.0
PARTIAL_MAX_AGE_S = 7 * 24 * 3600.0

_REPLACED = re.compile(r"\.replaced-[0-9a-f]{8}-(.+)")


def scan(root: Path) -> tuple[dict[str, Path], set[str]]:
    """Return the directories in the store by name, and the names whose model is being replaced.

    A store that does not exist is empty.

    Raises:
        OSError: It cannot be read.
    """
    try:
        entries = list(os.scandir(root))
    except FileNotFoundError:
        return {}, set()
    found: dict[str, Path] = {}
    interrupted: set[str] = set()
    for entry in entries:
        replaced = _REPLACED.fullmatch(entry.name)
        if replaced:
            interrupted.add(replaced[1])
        elif not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            found[entry.name] = root / entry.name
    return found, interrupted


def packed_dir(root: Path, name: str) -> Path:
    """Where the engine keeps what it makes of a model's weights; whatever is there can be made again."""
    return root / PACKED_NAME / name


def drop_packed(root: Path, *, replaced: str = "") -> None:
    """Move to the trash what was made of models that are gone, and of one that another has replaced.

    What cannot be moved now stays for the next time.
    """
    with contextlib.suppress(OSError):
        models, interrupted = scan(root)
        for entry in list(os.scandir(root / PACKED_NAME)):
            if entry.name == replaced or entry.name not in models.keys() | interrupted:
                move_to_trash(packed_dir(root, entry.name), root)


def partial_lock(partial: Path) -> Path:
    """The lock of whoever downloads into a directory. Beside it: it outlives the directory."""
    return partial.with_name(f"{partial.name}.lock")


def move_in(directory: Path, root: Path, name: str) -> None:
    """Give a directory its place in the store; a model of that name goes to the trash.

    If it fails, everything is where it was.

    Raises:
        OSError: It failed.
    """
    place = root / name
    aside = root / f".replaced-{secrets.token_hex(4)}-{name}"
    replaces = place.exists()
    if replaces:
        place.rename(aside)
    try:
        directory.rename(place)
        try:
            sync_dir(root)
        except BaseException:
            place.rename(directory)
            raise
    except BaseException:
        if replaces:
            aside.rename(place)
        raise
    if replaces:
        with contextlib.suppress(OSError):  # recovered later otherwise
            move_to_trash(aside, root)


def recover(root: Path) -> None:
    """Finish replacements that were interrupted: the old model comes back if there is no new one.

    Raises:
        OSError: A directory could not be moved.
    """
    for entry in list(os.scandir(root)):
        replaced = _REPLACED.fullmatch(entry.name)
        if not replaced:
            continue
        if (root / replaced[1]).exists():
            move_to_trash(root / entry.name, root)
        else:
            (root / entry.name).rename(root / replaced[1])


def move_to_trash(directory: Path, root: Path) -> None:
    """Take a directory out of sight at once; deleting it takes longer.

    Raises:
        OSError: It is still where it was.
    """
    directory.rename(root / f"{TRASH_PREFIX}{secrets.token_hex(8)}")


def move_out(directory: Path, root: Path) -> None:
    """Move a model to the trash for good, so that it does not come back after a power cut.

    Raises:
        OSError: It is where it was.
    """
    trash = root / f"{TRASH_PREFIX}{secrets.token_hex(8)}"
    directory.rename(trash)
    try:
        sync_dir(root)
    except BaseException:
        trash.rename(directory)
        raise


def empty_trash(root: Path) -> None:
    """Delete what was moved to the trash. What cannot be deleted now stays for the next time."""
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(root)):
            if entry.name.startswith(TRASH_PREFIX):
                shutil.rmtree(root / entry.name, ignore_errors=True)


def clean_leftovers(root: Path, *, now: float | None = None) -> list[str]:
    """Delete staging directories and downloads that nobody will come back to.

    Args:
        root: The store.
        now: Seconds since the epoch; by default the clock's.

    Returns:
        The names of what was deleted.
    """
    moment = time.time() if now is None else now
    deleted: list[str] = []
    empty_trash(root)
    for prefix, max_age_s in ((STAGING_PREFIX, STAGING_MAX_AGE_S), (PARTIAL_PREFIX, PARTIAL_MAX_AGE_S)):
        for entry in list(os.scandir(root)) if root.is_dir() else []:
            if not entry.name.startswith(prefix):
                continue
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                is_old = moment - status.st_mtime > max_age_s
                locks = (root / entry.name / LOCK_NAME, partial_lock(root / entry.name))
                if stat.S_ISDIR(status.st_mode) and is_old and all(map(is_lock_free, locks)):
                    shutil.rmtree(root / entry.name, ignore_errors=True)
                    deleted.append(entry.name)
    return deleted
