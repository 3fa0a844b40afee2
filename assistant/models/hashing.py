"""sha256 of files, and holding a directory against its manifest. Knows no store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from assistant.errors import ModelError, UnsafeModelError
from assistant.models.documents import open_regular
from assistant.models.listing import list_files
from assistant.models.manifest import MANIFEST_NAME, FileRecord, Manifest


def hash_file(path: Path) -> FileRecord:
    """Return a file's sha256 and size.

    Raises:
        ModelError: It cannot be read.
        UnsafeModelError: It is not a regular file.
    """
    try:
        with open_regular(path) as file:
            digest = hashlib.file_digest(file, "sha256")
            return FileRecord(sha256=digest.hexdigest(), size=file.tell())
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error


def hash_directory(
    directory: Path, report: Callable[[float], None] = lambda fraction: None
) -> dict[str, FileRecord]:
    """Return the record of every file of a model but the manifest.

    Args:
        directory: The model's.
        report: Told which fraction of the bytes is done, after each file.

    Raises:
        ModelError: A file cannot be read.
        UnsafeModelError: There is something else than files.
    """
    names = [name for name in list_files(directory) if name != MANIFEST_NAME]
    total = sum((directory / name).lstat().st_size for name in names) or 1
    records: dict[str, FileRecord] = {}
    for name in names:
        records[name] = hash_file(directory / name)
        report(sum(record.size for record in records.values()) / total)
    return records


def check_listing(directory: Path, manifest: Manifest) -> None:
    """Check that a directory holds the files of its manifest, in their sizes, and no others.

    Raises:
        UnsafeModelError: It does not.
    """
    there = set(list_files(directory)) - {MANIFEST_NAME}
    for name in sorted(manifest.files.keys() - there):
        raise UnsafeModelError(f"{directory / name} is missing", hint=_again(manifest))
    for name in sorted(there - manifest.files.keys()):
        raise UnsafeModelError(
            f"{directory / name} is not in the model's manifest", hint="remove it, or the model"
        )
    for name, record in manifest.files.items():
        size = (directory / name).lstat().st_size
        if size != record.size:
            raise UnsafeModelError(
                f"{directory / name} has {size} bytes and should have {record.size}", hint=_again(manifest)
            )


def check_hashes(directory: Path, manifest: Manifest) -> None:
    """Check every byte of a model against its manifest.

    Raises:
        UnsafeModelError: A file is not what it was when the model was published.
        ModelError: A file cannot be read.
    """
    check_listing(directory, manifest)
    for name, record in manifest.files.items():
        if hash_file(directory / name) != record:
            raise UnsafeModelError(
                f"{directory / name} has changed since it was published (its sha256 is another)",
                hint=_again(manifest),
            )


def _again(manifest: Manifest) -> str:
    return f"`assistant models remove {manifest.name}`, then fetch it again from {manifest.source}"
