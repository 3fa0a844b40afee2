"""From a directory on this machine to the files of a model, copied: later changes there are not seen here."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from assistant.errors import ModelError, UnsafeModelError
from assistant.files import storage_error
from assistant.models import listing
from assistant.models.conversion import PICKLE, run_conversion
from assistant.models.documents import open_regular
from assistant.models.fetched import Fetched
from assistant.models.hashing import check_hashes
from assistant.models.manifest import MANIFEST_NAME, read_manifest
from assistant.models.progress import PullProgress, ReportPull
from assistant.models.staging import Staging, check_space

CHUNK_BYTES = 16 * 1024 * 1024
PICKLE_WEIGHTS_INDEX = "pytorch_model.bin.index.json"


def fetch_directory(source: Path, staging: Staging, report: ReportPull, *, allow_pickle: bool) -> Fetched:
    """Copy a model's files. Hidden files, and files that no model needs, stay behind.

    A manifest of ours in it is believed as far as its hashes hold.

    Raises:
        UnsafeModelError: There is a link, code, or a pickle without `allow_pickle`.
        ModelError: It is no model.
        StorageError: The disk is full.
    """
    visible = listing.list_files(source, skip_hidden=True)
    pickles = find_pickled_weights(visible) if allow_pickle else []
    for path in visible:
        if listing.is_dangerous(path) and not (allow_pickle and listing.is_pickle_name(path)):
            listing.check_name(source, path)
    wanted = [path for path in visible if listing.is_wanted(path) and path != PICKLE_WEIGHTS_INDEX]
    has_weights = any(path.endswith(listing.WEIGHTS_SUFFIX) for path in wanted)
    _check_room(source, staging, [*wanted, *pickles])
    copy_files(source, staging.model, wanted, report)
    if pickles and not has_weights:
        convert_pickles(source, pickles, staging, report)
    if MANIFEST_NAME not in wanted:
        return Fetched()
    return _read_own_manifest(staging.model)


def find_pickled_weights(files: Iterable[str]) -> list[str]:
    """Return those files that are a model's weights as pickles, and the index of them."""
    return [
        path
        for path in files
        if path == PICKLE_WEIGHTS_INDEX or (path.startswith("pytorch_model") and path.endswith(".bin"))
    ]


def convert_pickles(source: Path, pickles: list[str], staging: Staging, report: ReportPull) -> None:
    """Convert pickled weights, in another process, and put the safetensors beside a model's other files.

    Raises:
        ModelError: They are no plain tensors.
        StorageError: The disk is full.
    """
    shards, converted = staging.work / "pickles", staging.work / "converted"
    shards.mkdir()
    converted.mkdir()
    copy_files(source, shards, pickles, report)
    run_conversion(PICKLE, shards, converted, report)
    shutil.rmtree(shards)
    for path in sorted(converted.iterdir()):
        path.rename(staging.model / path.name)


def copy_files(source: Path, target: Path, files: list[str], report: ReportPull) -> None:
    """Copy files byte by byte, following no link.

    Raises:
        UnsafeModelError: One has become something else meanwhile.
        ModelError: One cannot be read.
        StorageError: The disk is full.
    """
    total = sum((source / path).lstat().st_size for path in files) or 1
    done = 0
    for name in files:
        for size in _copy_file(source / name, target / name):
            done += size
            report(PullProgress(stage="copying", fraction=min(done / total, 1.0)))


def _copy_file(original: Path, path: Path) -> Iterator[int]:
    """Copy a file and yield the size of each piece."""
    try:
        source = open_regular(original)
    except OSError as error:
        raise ModelError(f"cannot read {original}: {error.strerror}") from error
    with source:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as copy:
                while chunk := source.read(CHUNK_BYTES):
                    copy.write(chunk)
                    yield len(chunk)
        except OSError as error:
            raise storage_error(error, path) from error


def _check_room(source: Path, staging: Staging, files: list[str]) -> None:
    check_space(staging.model, sum((source / path).lstat().st_size for path in files), f"copying {source}")


def _read_own_manifest(directory: Path) -> Fetched:
    manifest = read_manifest(directory)
    try:
        check_hashes(directory, manifest)
    except UnsafeModelError as error:
        raise ModelError(
            f"the {MANIFEST_NAME} in the directory does not fit its files: {error}",
            hint=f"if the change was meant, remove {MANIFEST_NAME} and pull again",
        ) from error
    (directory / MANIFEST_NAME).unlink()
    return Fetched(
        base=manifest.base,
        base_revision=manifest.base_revision,
        license=manifest.license,
        prompt_format=manifest.prompt_format,
        quantization=manifest.quantization,
        served_as=manifest.served_as,
        metrics=manifest.metrics,
    )
