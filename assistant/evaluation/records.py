"""Where an evaluation keeps what it finds, and what was evaluated. A directory that only this user can enter.

<data>/evaluations/<name>/
    lock            held by the command that works on it
    record.json     model, suite, sampling: what may not change when it goes on
    replies.jsonl   an answer a line, as they came
    scores.jsonl    a judgement a line
    nll.json        with --nll
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Generator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from assistant import paths
from assistant.errors import UsageError
from assistant.evaluation.row_files import PRIVATE
from assistant.files import make_private_dir, storage_error, write_atomic
from assistant.models.locks import hold_lock
from assistant.models.names import is_model_name, suggest_model_name

SCHEMA = 1
RECORD_NAME, REPLIES_NAME, SCORES_NAME, NLL_NAME = "record.json", "replies.jsonl", "scores.jsonl", "nll.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What was evaluated."""

    model: str
    fingerprint: str
    """Of the model's files; of the address, for a foreign server."""
    prompt_format: str
    engine: str
    """Device and quantisation that the settings ask for; empty for a foreign server."""
    suite: str
    """What reads the suite again."""
    suite_name: str
    suite_sha256: str
    limit: int | None
    problems: int
    samples: int
    """Answers to each problem."""
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    sandbox: str
    """The backend's name; empty as long as nothing was judged."""
    created: str
    version: str
    """Of this program."""

    @property
    def answers(self) -> int:
        """How many there are to make."""
        return self.problems * self.samples


FREE = frozenset({"created", "suite", "suite_name", "limit", "problems"})
"""What may differ when an evaluation goes on: when it began, and how the same problems are named."""
UNNAMED = FREE | {"sandbox", "version"}
"""What a suggested name does not depend on."""


def find_changes(old: Record, new: Record) -> list[str]:
    """Return what two records differ in, in words; empty where one goes on with the other."""
    changes: list[str] = []
    pairs = ((old, "then"), (new, "now"))
    for field in fields(Record):
        before, after = getattr(old, field.name), getattr(new, field.name)
        is_open = field.name == "sandbox" and not (before and after)  # one of them judges nothing yet
        if field.name in FREE or before == after or is_open:
            continue
        match field.name:
            case "fingerprint":
                changes.append("the model's files")
            case "suite_sha256":
                suites = (f"{one.problems} of {one.suite_name} {when}" for one, when in pairs)
                changes.append(f"the problems ({', '.join(suites)})")
            case name:
                word = "n" if name == "samples" else name.replace("_", "-")
                changes.append(f"{word} ({before} then, {after} now)")
    return changes


def suggest_name(record: Record) -> str:
    """Return a name that another evaluation of the same has, too, and no other one."""
    kept = {key: value for key, value in asdict(record).items() if key not in UNNAMED}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    stem = suggest_model_name(f"{record.model[:30].strip('-._')}-{record.suite_name}")
    return f"{stem[:54].strip('-._')}-{digest[:8]}"


class ResultsDir:
    """One evaluation.

    Args:
        path: Its directory. It is made when first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Make the directory and hold it against other processes.

        Raises:
            ModelError: Another process works on it.
            StorageError: It cannot be made.
        """
        make_private_dir(self.path)
        with hold_lock(self.path / "lock", f"the evaluation {self.name}", wait_s=0):
            yield

    def find_record(self) -> Record | None:
        """Return what was evaluated, or None where nothing was.

        Raises:
            UsageError: Its record is damaged.
        """
        path = self.path / RECORD_NAME
        try:
            document: object = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} cannot be read: {error}", hint="--replace begins anew") from error
        try:
            values = dict(cast("dict[str, Any]", document))
            if values.pop("schema") != SCHEMA:
                raise KeyError(f"schema {SCHEMA}")
            return Record(**values)
        except (TypeError, ValueError, KeyError) as error:
            raise UsageError(
                f"{path} is no record of this version: {error}", hint="--replace begins anew"
            ) from error

    def get_record(self) -> Record:
        """Return what was evaluated.

        Raises:
            UsageError: Nothing was, or its record is damaged.
        """
        record = self.find_record()
        if record is None:
            raise UsageError(f"there is no evaluation {self.name}", hint="`assistant evaluate` makes one")
        return record

    def write_record(self, record: Record) -> None:
        """Write what is evaluated.

        Raises:
            StorageError: It could not be written.
        """
        text = json.dumps({"schema": SCHEMA, **asdict(record)}, indent=2) + "\n"
        write_atomic(self.path / RECORD_NAME, text.encode(), mode=PRIVATE)

    def clear(self) -> None:
        """Forget everything but the lock.

        Raises:
            StorageError: It could not be deleted.
        """
        for name in (RECORD_NAME, REPLIES_NAME, SCORES_NAME, NLL_NAME):
            self._delete(name)

    def clear_scores(self) -> None:
        """Forget how answers were judged.

        Raises:
            StorageError: It could not be deleted.
        """
        self._delete(SCORES_NAME)

    def _delete(self, name: str) -> None:
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, self.path / name) from error


def evaluations_dir() -> Path:
    """Where all evaluations are, unless another directory is named."""
    return paths.data_dir() / "evaluations"


def find_evaluations(root: Path) -> list[str]:
    """Return the names of all evaluations, the newest first."""
    found = list(root.glob(f"*/{RECORD_NAME}")) if root.is_dir() else []
    return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def check_name(name: str) -> str:
    """Return an evaluation's name as it is.

    Raises:
        UsageError: It is none.
    """
    if not is_model_name(name) or set(name) == {"."}:
        raise UsageError(
            f"{name[:80]!r} cannot be an evaluation's name",
            hint="lower-case letters, digits, dots, dashes and underscores, at most 64",
        )
    return name


def open_directory(root: Path, name: str) -> ResultsDir:
    """Return an evaluation that there may be.

    Raises:
        UsageError: The name is none.
    """
    return ResultsDir(root / check_name(name))
