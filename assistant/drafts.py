"""What is being typed, saved while it is typed, so that neither a crash nor a kill loses it.

Each program keeps one draft, in a file that it holds a lock on for as long as it lives. A draft that nobody
holds was left by a program that ended, and the next one to start takes it over. Knows no screen.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from assistant import files, paths
from assistant.errors import AssistantError

if TYPE_CHECKING:
    import filelock

MAX_ADOPTION_BYTES = 64 * 1024 * 1024
ABANDONED_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A task and its input, not sent yet."""

    task: str = ""
    input: str = ""
    input_name: str = ""
    """Where the input came from; empty where it was typed."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be lost with it."""
        return not self.task.strip() and not self.input


class DraftKeeper:
    """Keeps this program's draft. Write from one thread at a time.

    Args:
        directory: Where drafts are; by default the user's.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory or paths.drafts_dir()
        self._name = secrets.token_hex(8)
        self._lock: filelock.BaseFileLock | None = None

    def adopt(self) -> Draft | None:
        """Take over the newest draft that a program left behind; None where there is none.

        Raises:
            AssistantError: The directory cannot be used.
        """
        files.make_private_dir(self._directory)
        self._sweep()
        left = sorted(self._directory.glob("*.json"), key=_changed, reverse=True)
        for path in left:
            lock = self._take_lock(path.stem)
            if lock is None:
                continue
            draft = _read_draft(path)
            if draft is not None and not draft.is_empty:
                self._name, self._lock = path.stem, lock
                return draft
            path.unlink(missing_ok=True)
            self._drop_lock(lock, path.stem)
        return None

    def write(self, draft: Draft) -> None:
        """Save the draft as it is now.

        Raises:
            AssistantError: It cannot be written.
        """
        files.make_private_dir(self._directory)
        if self._lock is None:
            self._lock = self._take_lock(self._name)
        text = json.dumps(asdict(draft))  # ASCII: half a surrogate pair is kept as well
        files.write_atomic(self._directory / f"{self._name}.json", text.encode("ascii"), mode=0o600)

    def close(self, draft: Draft) -> None:
        """Leave a draft that holds something for the next start; remove one that does not.

        Raises:
            AssistantError: It cannot be written.
        """
        if not draft.is_empty:
            self.write(draft)
        else:
            (self._directory / f"{self._name}.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._drop_lock(self._lock, self._name)
            self._lock = None

    def _sweep(self) -> None:
        """Remove what writers left that were killed in the middle: the file that they replace is whole."""
        for path in self._directory.glob(".*.tmp"):
            if _changed(path) < time.time() - ABANDONED_AFTER_S:
                path.unlink(missing_ok=True)

    def _take_lock(self, name: str) -> filelock.BaseFileLock | None:
        import filelock  # late: it costs 30 ms, and the chat adopts after its first picture

        lock = filelock.FileLock(self._directory / f"{name}.lock", mode=0o600)
        try:
            lock.acquire(blocking=False)
        except (filelock.Timeout, OSError):
            return None
        return lock

    def _drop_lock(self, lock: filelock.BaseFileLock, name: str) -> None:
        with contextlib.suppress(OSError):
            (self._directory / f"{name}.lock").unlink(missing_ok=True)
            lock.release()


def close_quietly(keeper: DraftKeeper, draft: Draft) -> None:
    """Close a keeper at the end of a program, where there is nobody left to tell about a failure."""
    with contextlib.suppress(AssistantError, OSError):
        keeper.close(draft)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # adopted and removed by another program meanwhile
        return 0.0


def _read_draft(path: Path) -> Draft | None:
    try:
        if path.stat().st_size > MAX_ADOPTION_BYTES:
            return None
        content: object = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    fields = cast("dict[str, Any]", content)
    texts = {name: str(fields.get(name) or "") for name in ("task", "input", "input_name")}
    return Draft(**texts)
