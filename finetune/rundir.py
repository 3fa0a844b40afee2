"""Where a run keeps what it makes: a directory of its own, which only this user can enter.

    <data>/runs/<name>/
        lock                held by the command that works on the run
        prepare/            rows.jsonl, rejects.jsonl, record.json
        tokens/             train.parquet, eval.parquet, rejects.jsonl, record.json
        data-card.md

A stage's directory appears by one rename when all of it is written, `record.json` included: what is there is
whole, and a stage that was interrupted has left the earlier one as it was. Knows no stage's content.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, cast

from assistant import paths
from assistant.errors import UsageError
from assistant.files import make_private_dir, storage_error, sync_dir, write_atomic
from assistant.models.locks import hold_lock
from assistant.models.manifest import now_utc
from assistant.models.names import is_model_name, suggest_model_name

SCHEMA = 1
RECORD_NAME = "record.json"
LOCK_NAME = "lock"
PRIVATE = 0o600
_NEW, _OLD = ".new-", ".old-"


class RunDir:
    """One run.

    Args:
        path: Its directory. It is made when first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Make the directory, hold the run against other processes and clear what an interrupted one left.

        Raises:
            UsageError: Others can enter its directory.
            ModelError: Another process works on it.
            StorageError: It cannot be made.
        """
        make_private_dir(self.path.parent)
        make_private_dir(self.path)
        with hold_lock(self.path / LOCK_NAME, f"the run {self.name}", wait_s=0):
            self._clear_leftovers()
            yield

    @contextlib.contextmanager
    def open_stage(self, stage: str) -> Generator[Path]:
        """Make an empty directory for a stage; it takes the stage's place when the block ends well.

        Raises:
            StorageError: It cannot be made or moved.
        """
        staging = self.path / f"{_NEW}{stage}-{secrets.token_hex(4)}"
        with _storing(staging):
            staging.mkdir(mode=0o700)
        try:
            yield staging
            with _storing(staging):
                self._move_in(staging, stage)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def find_stage(self, stage: str) -> Path | None:
        """Return the directory of a stage that is done, or None."""
        directory = self.path / stage
        return directory if (directory / RECORD_NAME).is_file() else None

    def get_stage(self, stage: str) -> Path:
        """Return the directory of a stage that is done.

        Raises:
            UsageError: It is not.
        """
        directory = self.find_stage(stage)
        if directory is None:
            raise UsageError(
                f"the run {self.name} has no {stage} stage that was finished",
                hint=f"`assistant finetune data build DATA --name {self.name} --replace`",
            )
        return directory

    def read_record(self, stage: str) -> dict[str, Any]:
        """Return what a stage says of itself.

        Raises:
            UsageError: It is not done, or its record is damaged.
        """
        path = self.get_stage(stage) / RECORD_NAME
        try:
            record: object = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {error}", hint="run its stage again") from error
        if not isinstance(record, dict) or cast("dict[str, Any]", record).get("schema") != SCHEMA:
            raise UsageError(f"{path} is no record of schema {SCHEMA}", hint="run its stage again")
        return cast("dict[str, Any]", record)

    def _move_in(self, staging: Path, stage: str) -> None:
        target, old = self.path / stage, self.path / f"{_OLD}{stage}"
        sync_dir(staging)
        if target.exists():
            target.rename(old)
        staging.rename(target)
        sync_dir(self.path)
        shutil.rmtree(old, ignore_errors=True)

    def _clear_leftovers(self) -> None:
        with _storing(self.path):
            for path in self.path.iterdir():
                if path.name.startswith(_OLD):
                    target = self.path / path.name.removeprefix(_OLD)
                    if not target.exists():
                        path.rename(target)  # ended between the two renames
                        continue
                if path.name.startswith((_OLD, _NEW)):
                    shutil.rmtree(path, ignore_errors=True)


def write_record(directory: Path, stage: str, content: Mapping[str, Any]) -> None:
    """Write a stage's record, the last thing that a stage writes.

    Raises:
        StorageError: It could not be written.
    """
    record = {"schema": SCHEMA, "stage": stage, "created": now_utc(), **content}
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    write_atomic(directory / RECORD_NAME, text.encode(), mode=PRIVATE)


def write_json_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows as JSON Lines.

    Raises:
        StorageError: They could not be written.
    """
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(path, text.encode(), mode=PRIVATE)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read what `write_json_lines` wrote.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            return [json.loads(line) for line in file]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}", hint="run its stage again") from error


def runs_dir() -> Path:
    """Where all runs are."""
    return paths.data_dir() / "runs"


def find_runs() -> list[str]:
    """Return the names of all runs in which a stage is done, the newest first."""
    root = runs_dir()
    found = [path for path in root.iterdir() if any(path.glob(f"*/{RECORD_NAME}"))] if root.is_dir() else []
    return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def open_run(name: str) -> RunDir:
    """Return a run that there is.

    Raises:
        UsageError: There is none of that name.
    """
    check_run_name(name)
    names = find_runs()
    if name not in names:
        hint = f"there are {', '.join(names[:10])}" if names else "`assistant finetune data build` makes one"
        raise UsageError(f"there is no run {name}", hint=hint)
    return RunDir(runs_dir() / name)


def new_run(name: str, *, suggestion: str, replace: bool = False) -> RunDir:
    """Return a run that can be written to.

    Args:
        name: What the user calls it; empty to take the suggestion, numbered where it is taken.
        suggestion: Any text.
        replace: Take the place of a run's data that is there.

    Raises:
        UsageError: The name is none, or taken.
    """
    if not name:
        base = suggest_model_name(suggestion)[:48]
        taken = set(find_runs())
        numbers = (f"{base}-{number}" for number in range(2, len(taken) + 3))
        name = next(one for one in (base, *numbers) if one not in taken)
    check_run_name(name)
    if not replace and name in find_runs():
        raise UsageError(
            f"there is a run {name}", hint="--replace builds its data anew; or give another --name"
        )
    return RunDir(runs_dir() / name)


def check_run_name(name: str) -> None:
    """Refuse what cannot be a run's name.

    Raises:
        UsageError: It cannot.
    """
    if not is_model_name(name) or re.fullmatch(r"\.+", name):
        raise UsageError(
            f"{name[:80]!r} cannot be a run's name",
            hint="lower-case letters, digits, dots, dashes and underscores, at most 64",
        )


@contextlib.contextmanager
def _storing(path: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error
