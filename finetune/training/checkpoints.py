"""Checkpoints of a training on disk: whole ones, and how to tell. Knows no torch.

    <run>/checkpoints/
        started.json              what the training was started with
        checkpoint-000120/        complete.json, the last file of it, has a sha256 of every other

A checkpoint appears under its name by a rename when all of it is on the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, cast

from assistant.errors import AssistantError, StorageError, UsageError
from assistant.files import make_private_dir, storage_error, sync_dir, write_atomic
from assistant.models.hashing import hash_file

DIRECTORY = "checkpoints"
STARTED_NAME, MARKER_NAME = "started.json", "complete.json"
KEPT = 2
_NEW, _PREFIX = ".new-", "checkpoint-"


class Checkpoints:
    """The checkpoints of one training.

    Args:
        path: Their directory. It is made when first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def find_steps(self) -> list[int]:
        """Return the steps of all checkpoints, whole or not, ascending."""
        if not self.path.is_dir():
            return []
        names = (one.name.removeprefix(_PREFIX) for one in self.path.glob(f"{_PREFIX}*"))
        return sorted(int(name) for name in names if name.isdigit())

    def find_newest(self) -> int | None:
        """Return the step of the newest whole checkpoint, or None. Damaged ones are passed over."""
        return next((step for step in reversed(self.find_steps()) if self.is_whole(step)), None)

    def get_path(self, step: int) -> Path:
        """Return the directory of a checkpoint."""
        return self.path / f"{_PREFIX}{step:06}"

    def get_staging_path(self, step: int) -> Path:
        """Return the directory in which a checkpoint is made."""
        return self.path / f"{_NEW}{_PREFIX}{step:06}"

    def is_whole(self, step: int) -> bool:
        """Whether every file of a checkpoint is what it was when it was written."""
        directory = self.get_path(step)
        try:
            sums: dict[str, str] = json.loads((directory / MARKER_NAME).read_text(encoding="utf-8"))["files"]
            return bool(sums) and all(
                hash_file(directory / name).sha256 == value for name, value in sums.items()
            )
        except (AssistantError, OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    @contextlib.contextmanager
    def open_checkpoint(self, step: int) -> Generator[Path]:
        """Make a directory to write a checkpoint to; it is published when the block ends well.

        Raises:
            StorageError: It could not be written. Earlier ones are as they were.
        """
        staging = self.get_staging_path(step)
        try:
            make_private_dir(self.path)
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir(mode=0o700)
            with _storing(staging):
                yield staging
                self._publish(staging, step)
        except OSError as error:
            raise storage_error(error, staging) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def remove_old(self, best: int | None) -> None:
        """Keep the newest two and the best."""
        for step in self.find_steps()[:-KEPT]:
            if step != best:
                shutil.rmtree(self.get_path(step), ignore_errors=True)

    def remove_after(self, step: int) -> None:
        """Remove what is newer than the checkpoint that a training goes on from: it is not whole."""
        for later in self.find_steps():
            if later > step:
                shutil.rmtree(self.get_path(later), ignore_errors=True)

    def read_started(self) -> dict[str, Any] | None:
        """Return what the training was started with; None where none was."""
        try:
            content: object = json.loads((self.path / STARTED_NAME).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{self.path / STARTED_NAME} cannot be read: {error}", hint="--replace begins anew"
            ) from error
        return cast("dict[str, Any]", content)

    def write_started(self, content: Mapping[str, Any]) -> None:
        """Write what the training is started with.

        Raises:
            StorageError: It could not be written.
        """
        make_private_dir(self.path)
        write_atomic(self.path / STARTED_NAME, json.dumps(content, indent=2).encode(), mode=0o600)

    def clear(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _publish(self, staging: Path, step: int) -> None:
        sums: dict[str, str] = {}
        for path in sorted(staging.iterdir()):
            path.chmod(0o600)
            sync_file(path)
            sums[path.name] = hash_file(path).sha256
        marker = json.dumps({"step": step, "files": sums}, indent=2)
        write_atomic(staging / MARKER_NAME, marker.encode(), mode=0o600)
        sync_dir(staging)
        target = self.get_path(step)
        shutil.rmtree(target, ignore_errors=True)  # half of one, or the same step's once more
        staging.rename(target)
        sync_dir(self.path)


def sync_file(path: Path) -> None:
    """Flush a file to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _storing(staging: Path) -> Generator[None]:
    """Say that a checkpoint could not be written: the libraries that write have errors of their own."""
    try:
        yield
    except (AssistantError, OSError):
        raise
    except Exception as error:
        text = str(error)
        if any(sign in text for sign in ("PytorchStreamWriter", "inline_container", "I/O error", "os error")):
            raise StorageError(
                f"cannot write {staging}: {text.splitlines()[0][:200]}",
                hint="free some space, and `--resume`; the checkpoint before it is whole",
            ) from error
        raise
