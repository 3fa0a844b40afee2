"""Remembers which models were found whole, so that a warm start does not read gigabytes again.

A model counts as known while its manifest and the inode, size and times of its files are what they were.
Whoever can forge those can forge the files too; a disk that decays is found by `assistant models verify`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, cast

from assistant.errors import ModelError, StorageError
from assistant.files import write_atomic
from assistant.models.documents import parse_json, read_capped
from assistant.models.manifest import MANIFEST_NAME, Manifest

CACHE_NAME = ".verified.json"
MAX_CACHE_BYTES = 16 * 1024 * 1024


def is_known_whole(root: Path, name: str, manifest: Manifest) -> bool:
    """Whether a model was found whole and has not been touched since."""
    try:
        return _read_cache(root).get(name) == _take_stamp(root / name, manifest)
    except OSError:
        return False


def note_whole(root: Path, name: str, manifest: Manifest) -> None:
    """Remember that a model was found whole. A cache that cannot be written costs time, nothing else."""
    try:
        cache = _read_cache(root) | {name: _take_stamp(root / name, manifest)}
        present = {other: stamp for other, stamp in cache.items() if (root / other).is_dir()}
        write_atomic(root / CACHE_NAME, json.dumps(present).encode(), mode=0o600)
    except (OSError, StorageError):
        return


def _take_stamp(directory: Path, manifest: Manifest) -> dict[str, Any]:
    stamp: dict[str, Any] = {
        MANIFEST_NAME: hashlib.sha256((directory / MANIFEST_NAME).read_bytes()).hexdigest()
    }
    for path in sorted(manifest.files):
        status = (directory / path).lstat()
        stamp[path] = [status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
    return stamp


def _read_cache(root: Path) -> dict[str, Any]:
    path = root / CACHE_NAME
    try:
        if not path.exists():
            return {}
        document = parse_json(read_capped(path, MAX_CACHE_BYTES), str(path))
    except ModelError:
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}
