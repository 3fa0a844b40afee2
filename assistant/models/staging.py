"""A place in the store to build a model in, locked by whoever builds, and what makes it durable."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import StorageError, UsageError
from assistant.files import make_private_dir, storage_error, sync_dir
from assistant.models.listing import list_files
from assistant.models.locks import hold_lock

STAGING_PREFIX = ".tmp-"
LOCK_NAME = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Where a model is built. Both directories are empty at first and on the store's file system."""

    model: Path
    """Becomes the model."""
    work: Path
    """For what is needed on the way."""


def private_root(root: Path, *, make: bool = False) -> Path:
    """Check that only this user can enter the store's directory.

    Args:
        root: The directory.
        make: Make it where it is missing; otherwise a missing one is no error.

    Raises:
        UsageError: Others can enter it.
        StorageError: It cannot be made.
    """
    return make_private_dir(root) if make or root.is_symlink() or root.exists() else root


@contextlib.contextmanager
def make_staging(root: Path) -> Generator[Staging]:
    """Make a staging directory and remove it in the end.

    Raises:
        StorageError: It cannot be made.
    """
    place = root / f"{STAGING_PREFIX}{secrets.token_hex(8)}"
    staging = Staging(model=place / "model", work=place / "work")
    try:
        try:
            for directory in (place, staging.model, staging.work):
                directory.mkdir(mode=0o700)
        except OSError as error:
            raise storage_error(error, place) from error
        with hold_lock(place / LOCK_NAME, "its own staging directory"):
            yield staging
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sync_tree(directory: Path) -> None:
    """Flush every file of a model and every directory to the disk.

    Raises:
        OSError: The disk is full or broken.
        UnsafeModelError: There is something else than files.
    """
    parents = {directory}
    for name in list_files(directory):
        path = directory / name
        path.chmod(0o600)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        parents |= {parent for parent in path.parents if parent.is_relative_to(directory)}
    for parent in parents:
        sync_dir(parent)


def check_space(directory: Path, needed: int, what: str) -> None:
    """Check that a disk has room before anything is written to it.

    Args:
        directory: On that disk.
        needed: Bytes.
        what: What they are needed for, for the error.

    Raises:
        StorageError: It has not.
        UsageError: The size makes no sense.
    """
    if needed < 0:
        raise UsageError(f"{what} would take {needed} bytes")
    try:
        free = shutil.disk_usage(directory).free
    except OSError as error:
        raise storage_error(error, directory) from error
    if free < needed:
        raise StorageError(
            f"{what} needs {needed / 1e9:.2f} GB and {directory} has {free / 1e9:.2f} GB left",
            hint="free some space, or set ASSISTANT_HOME to a larger disk",
        )
