"""Which files a directory holds, and which have no place in a model. Reads their first bytes at most."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from assistant.errors import ModelError, UnsafeModelError
from assistant.models.documents import open_regular
from assistant.models.names import is_inner_path

WEIGHTS_SUFFIX = ".safetensors"
WANTED_SUFFIXES = frozenset({WEIGHTS_SUFFIX, ".json", ".jinja", ".model", ".txt", ".md"})
WANTED_NAMES = frozenset({"LICENSE", "NOTICE", "README", "COPYING", "USE_POLICY"})
PICKLE_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".joblib", ".dill", ".distcp"}
)
"""Formats whose usual reader runs code that stands in the file, or has done so."""
CODE_SUFFIXES = frozenset({".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".sh", ".pth", ".whl", ".egg"})

MAX_FILES = 2000
MAX_DEPTH = 4
MAX_SMALL_BYTES = 64 * 1024 * 1024
"""Everything but weights is smaller than this."""

_PICKLE_MAGIC = re.compile(rb"\x80[\x02-\x05]|PK\x03\x04|\x93NUMPY|\x89HDF")


def list_files(directory: Path, *, skip_hidden: bool = False) -> list[str]:
    """Return the path of every file below a directory, relative to it, sorted.

    What a desktop leaves behind (`.DS_Store`) is passed over.

    Args:
        directory: Where to look.
        skip_hidden: Do not look at hidden files and into hidden directories.

    Raises:
        UnsafeModelError: There is a link, a pipe, a device, or more than a model would hold.
        ModelError: The directory cannot be read.
    """
    found: list[str] = []
    waiting = [directory]
    while waiting:
        inner = waiting.pop()
        try:
            entries = [e for e in sorted(inner.iterdir()) if not (skip_hidden and e.name.startswith("."))]
            modes = {entry: entry.lstat().st_mode for entry in entries}
        except OSError as error:
            raise ModelError(f"cannot read {inner}: {error.strerror}") from error
        for entry, mode in modes.items():
            if stat.S_ISDIR(mode):
                waiting.append(entry)
            elif entry.name != ".DS_Store":
                check_kind(entry, mode)
                found.append(entry.relative_to(directory).as_posix())
        if len(found) + len(waiting) > MAX_FILES:
            raise UnsafeModelError(f"{directory} holds more than {MAX_FILES} files", hint="it is no model")
    return sorted(found)


def check_kind(path: Path, mode: int) -> None:
    """Refuse whatever is not a regular file.

    Raises:
        UnsafeModelError: It is a link, a pipe, a socket or a device.
    """
    if stat.S_ISLNK(mode):
        raise UnsafeModelError(
            f"{path} is a link, which may lead anywhere",
            hint="copy the model with `cp -rL` and use the copy",
        )
    if not stat.S_ISREG(mode):
        raise UnsafeModelError(f"{path} is not a regular file", hint="remove it")


def is_wanted(path: str) -> bool:
    """Whether a model has a use for a file of that name. Hidden ones it has none for."""
    name = path.rsplit("/", 1)[-1]
    suffix = _suffix(name)
    wanted = suffix in WANTED_SUFFIXES or name.split(".")[0].upper() in WANTED_NAMES
    return is_inner_path(path) and wanted and not is_dangerous(path)


def is_dangerous(path: str) -> bool:
    """Whether a file of that name may run code when some library opens it."""
    return _suffix(path) in PICKLE_SUFFIXES | CODE_SUFFIXES


def is_pickle_name(path: str) -> bool:
    """Whether a file of that name is one that is read by running what stands in it."""
    return _suffix(path) in PICKLE_SUFFIXES


def check_name(directory: Path, path: str) -> None:
    """Refuse a file by its name.

    Raises:
        UnsafeModelError: A model has no use for such a file.
    """
    place = directory / path
    if is_pickle_name(path):
        raise UnsafeModelError(
            f"{place} may be a pickle, which runs code when it is opened",
            hint="remove it if there are safetensors beside it; else pull with --allow-pickle",
        )
    if is_dangerous(path):
        raise UnsafeModelError(
            f"{place} is code, and a model must not bring any",
            hint="remove it if the model is of an architecture that transformers knows by itself",
        )
    if not is_wanted(path):
        raise UnsafeModelError(f"{place} has no place in a model", hint="remove it")


def check_content(directory: Path, path: str, size: int) -> None:
    """Refuse a file by its size and its first bytes. Weights are looked at more closely elsewhere.

    Raises:
        UnsafeModelError: It is a pickle under another name, or far too long.
    """
    place = directory / path
    if path.endswith(WEIGHTS_SUFFIX):
        return
    if size > MAX_SMALL_BYTES:
        raise UnsafeModelError(
            f"{place} has {size} bytes, more than {MAX_SMALL_BYTES}", hint="only weights are that long"
        )
    if has_pickle_magic(place):
        raise UnsafeModelError(
            f"{place} begins like a pickle or an archive, not like what its name says",
            hint="do not use this model: somebody hid it there",
        )


def has_pickle_magic(path: Path) -> bool:
    """Whether a file begins like a pickle, a numpy file or a zip archive (torch's format is one).

    Raises:
        ModelError: It cannot be read.
    """
    try:
        with open_regular(path) as file:
            return _PICKLE_MAGIC.match(file.read(8)) is not None
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()
