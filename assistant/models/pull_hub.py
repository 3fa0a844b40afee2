"""From a repository of the Hugging Face hub to the files of a model.

The revision is resolved to a commit first, and every file is held against the hash the hub names for it. An
interrupted download keeps the files that are whole, and goes on from there the next time.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Generator
from pathlib import Path

from assistant.errors import DownloadError, StorageError
from assistant.files import make_private_dir, storage_error
from assistant.models.fetched import Fetched
from assistant.models.hashing import hash_file
from assistant.models.hub_repository import (
    RemoteFile,
    Repository,
    choose_files,
    explain_hub_error,
    find_endpoint,
    hub_failures,
    import_hub,
    read_repository,
)
from assistant.models.leftovers import PARTIAL_PREFIX, partial_lock
from assistant.models.locks import hold_lock
from assistant.models.names import is_inner_path
from assistant.models.progress import PullProgress, ReportPull, measure_files, watched_growth
from assistant.models.pull_local import convert_pickles, find_pickled_weights
from assistant.models.sources import HUB_PROMPT_FORMATS, HubSource
from assistant.models.staging import Staging, check_space

WORKERS = 4
WAIT_S = 24 * 3600.0
"""A large model over a slow line."""


def fetch_repository(
    source: HubSource, root: Path, staging: Staging, report: ReportPull, *, allow_pickle: bool
) -> Fetched:
    """Download a model.

    Args:
        source: Which.
        root: The store's directory: what is whole of an interrupted download stays there.
        staging: Where the model is built.
        report: Told how much has arrived.
        allow_pickle: Convert weights that are pickles.

    Raises:
        DownloadError: It cannot be had.
        UnsafeModelError: Its weights are pickles, and those are not allowed.
        ModelError: It holds no model.
        StorageError: The disk is full.
    """
    report(PullProgress(stage="asking the hub"))
    repository = read_repository(source)
    files = choose_files(repository, allow_pickle=allow_pickle)
    for path in files:
        if not is_inner_path(path):
            raise DownloadError(f"{repository.name} holds {path!r}, which is no file of a model")
    pickles = find_pickled_weights(files)
    key = hashlib.sha256(f"{repository.name}@{repository.commit}".encode()).hexdigest()[:16]
    partial = root / f"{PARTIAL_PREFIX}{key}"
    with _sole_download(partial, repository, report):
        make_private_dir(partial)
        try:
            _download(source, repository, files, partial, report)
            _take_over(partial / "files", staging, [path for path in files if path not in pickles])
            if pickles:
                convert_pickles(partial / "files", pickles, staging, report)
        except StorageError:
            shutil.rmtree(partial, ignore_errors=True)  # its room is what is missing
            raise
        shutil.rmtree(partial, ignore_errors=True)
    return Fetched(
        base=repository.name,
        base_revision=repository.commit,
        license=repository.license,
        prompt_format=HUB_PROMPT_FORMATS.get(repository.name, ""),
    )


@contextlib.contextmanager
def _sole_download(partial: Path, repository: Repository, report: ReportPull) -> Generator[None]:
    """Let one process at a time download a repository."""

    def waiting() -> bool:
        report(PullProgress(stage="waiting for another process that downloads it"))
        return False

    lock = partial_lock(partial)
    with hold_lock(lock, f"the download of {repository.name}", wait_s=WAIT_S, waiting=waiting):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # whoever waits for it sees that it is gone, and makes it anew


def _download(
    source: HubSource, repository: Repository, files: list[str], partial: Path, report: ReportPull
) -> None:
    total = sum(repository.files[path].size for path in files)
    target = partial / "files"
    there = sum(measure_files(target))
    check_space(partial, max(total - there, 0), f"downloading {repository.name}")
    hub = import_hub()
    with watched_growth("downloading", total, lambda: sum(measure_files(target)), report):
        try:
            hub.snapshot_download(
                repository.name,
                revision=repository.commit,
                local_dir=target,
                cache_dir=partial / "cache",
                allow_patterns=files,
                max_workers=WORKERS,
                endpoint=find_endpoint(),
                library_name="assistant",
            )
        except hub_failures() as error:
            raise explain_hub_error(error, source) from error
    for number, path in enumerate(files):
        report(PullProgress(stage="checking the files", fraction=number / len(files)))
        check_download(target / path, repository.files[path])


def check_download(path: Path, remote: RemoteFile) -> None:
    """Hold a downloaded file against what the hub says of it; a wrong one is deleted.

    Raises:
        DownloadError: It is not there, or is another.
    """
    if not path.is_file():
        raise DownloadError(f"{path.name} was not downloaded", hint="try again: what is there is kept")
    record = hash_file(path)
    good = record.size == remote.size and remote.sha256 in ("", record.sha256)
    if good and remote.blob_sha1:
        content = path.read_bytes()
        header = f"blob {len(content)}\0".encode()
        good = hashlib.sha1(header + content, usedforsecurity=False).hexdigest() == remote.blob_sha1
    if not good:
        path.unlink()
        raise DownloadError(f"{path.name} arrived damaged", hint="try again: the other files are kept")


def _take_over(source: Path, staging: Staging, files: list[str]) -> None:
    for name in files:
        path = staging.model / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            (source / name).rename(path)
        except OSError as error:
            raise storage_error(error, path) from error
