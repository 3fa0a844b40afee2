"""The history's file: reading, writing, searching, deleting. One `History` belongs to one thread.

Several programs may have it open at once: the write-ahead log lets them read while one writes, and a writer
waits for another up to `BUSY_TIMEOUT_S`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from assistant import files, paths
from assistant.errors import AssistantError, StorageError, UsageError
from assistant.history import rows, schema
from assistant.history.records import Conversation, Exchange, Match, title_of

BUSY_TIMEOUT_S = 5.0
FIRST_OPEN_PAUSE_S = 0.02
FILE_MODE = 0o600


class History:
    """The open file. Use `open_history`.

    Every method raises StorageError where the file cannot be used.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def save_exchange(self, exchange: Exchange) -> None:
        """Add an exchange, or replace the one of its id; its conversation comes up with it."""
        values = rows.exchange_values(exchange)
        changes = ", ".join(f"{name} = excluded.{name}" for name in values if name != "id")
        with self._writing():
            self._run(
                "INSERT INTO conversations (id, title, started, changed) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET changed = max(changed, excluded.changed)",
                exchange.conversation,
                rows.clean(title_of(exchange.task)),
                exchange.started,
                exchange.started,
            )
            self._run(
                f"INSERT INTO exchanges ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"
                f" ON CONFLICT (id) DO UPDATE SET {changes}",
                *values.values(),
            )

    def list_conversations(self, *, limit: int = 50, offset: int = 0) -> list[Conversation]:
        """Return the conversations, the last changed first."""
        found = self._run(
            f"{rows.SELECT_CONVERSATIONS} ORDER BY changed DESC, id LIMIT ? OFFSET ?", limit, offset
        )
        return [rows.conversation_of(row) for row in found]

    def find_conversation(self, prefix: str) -> Conversation | None:
        """Return the conversation whose id begins so, or None where there is none.

        Raises:
            UsageError: There are several.
        """
        found = self._run(
            f"{rows.SELECT_CONVERSATIONS} WHERE substr(id, 1, ?) = ? LIMIT 2", len(prefix), prefix
        ).fetchall()
        if len(found) > 1:
            raise UsageError(f"several conversations begin with {prefix}", hint="give more of the id")
        return rows.conversation_of(found[0]) if found and prefix else None

    def read_exchanges(self, conversation: str) -> list[Exchange]:
        """Return a conversation's exchanges, oldest first."""
        found = self._run(
            f"{rows.SELECT_EXCHANGES} WHERE conversation = ? ORDER BY started, number", conversation
        )
        return [rows.exchange_of(row) for row in found]

    def recent_tasks(self, *, limit: int = 200) -> list[str]:
        """Return the tasks of all conversations, each once, the newest first."""
        found = self._run(
            "SELECT task, max(started) AS latest FROM exchanges GROUP BY task ORDER BY latest DESC LIMIT ?",
            limit,
        )
        return [str(row["task"]) for row in found]

    def search(self, text: str, *, limit: int = 50) -> list[Match]:
        """Return the exchanges that hold all words of a text, the best match first.

        Words match from their beginning. Where none is found so, any place counts.
        """
        words = text.split()
        if not words:
            return []
        plain = [word for word in words if not any(character.isalnum() for character in word)]
        found: Sequence[sqlite3.Row] = []
        if len(plain) < len(words):
            query = " ".join(rows.word_query(word) for word in words if word not in plain)
            found = self._run(rows.search_statement(len(plain)), query, *rows.thrice(plain), limit).fetchall()
        if not found:
            found = self._run(rows.scan_statement(len(words)), *rows.thrice(words), limit).fetchall()
        return [rows.match_of(row, words) for row in found]

    def rename(self, conversation: str, title: str) -> None:
        """Give a conversation another title."""
        with self._writing():
            self._run("UPDATE conversations SET title = ? WHERE id = ?", rows.clean(title), conversation)

    def delete(self, conversation: str) -> None:
        """Delete a conversation. Nothing of its text stays in the file."""
        with self._writing():
            self._run("DELETE FROM conversations WHERE id = ?", conversation)
        self._forget()

    def delete_all(self) -> int:
        """Delete everything; return how many conversations there were."""
        with self._writing():
            count = self._run("DELETE FROM conversations").rowcount
        self._forget()
        with translated(self.path):
            self._connection.execute("VACUUM")
        return count

    def _forget(self) -> None:
        """Take deleted text out of the search index and of the write-ahead log too."""
        with self._writing():
            self._run("INSERT INTO words (words) VALUES ('optimize')")
        with translated(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _run(self, statement: str, *values: object) -> sqlite3.Cursor:
        with translated(self.path):
            return self._connection.execute(statement, values)

    @contextlib.contextmanager
    def _writing(self) -> Generator[None]:
        self._run("BEGIN IMMEDIATE")
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            with contextlib.suppress(AssistantError):
                self._run("ROLLBACK")
            raise


def open_history(path: Path | None = None, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> History:
    """Open the history, make it where there is none, bring an older one up to date.

    Args:
        path: The file; by default the user's.
        busy_timeout_s: Wait so long for another program that writes.

    Raises:
        StorageError: It cannot be used; it is damaged, locked, of a newer version, or the disk is full.
        UsageError: Its directory is open to others.
    """
    path = path or paths.history_path()
    files.make_private_dir(path.parent)
    with translated(path):
        _create_private(path)
        connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    try:
        with translated(path):
            _prepare(connection, path, busy_timeout_s)
    except BaseException:
        connection.close()
        raise
    return History(connection, path)


def _create_private(path: Path) -> None:
    """Make the file with its mode from the start. The log beside it gets the same one from SQLite."""
    flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        if os.name == "posix":
            os.fchmod(descriptor, FILE_MODE)
    finally:
        os.close(descriptor)


def _prepare(connection: sqlite3.Connection, path: Path, busy_timeout_s: float) -> None:
    connection.row_factory = sqlite3.Row
    _use_write_ahead_log(connection, busy_timeout_s)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")
    version = schema.read_version(connection)
    if version > len(schema.STEPS):
        raise StorageError(
            f"{path} was written by a newer version of this program", hint="update, or move the file away"
        )
    schema.migrate(connection)


def _use_write_ahead_log(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Switch to the log. SQLite does not wait for others here, so the first two to open it would clash."""
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(FIRST_OPEN_PAUSE_S)
        else:
            return


@contextlib.contextmanager
def translated(path: Path) -> Generator[None]:
    """Turn SQLite's and the system's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise _storage_error(error, path) from error
    except OSError as error:
        raise files.storage_error(error, path) from error


def _storage_error(error: sqlite3.Error, path: Path) -> StorageError:
    match _code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageError(
                f"the history is locked by another program: {path}", hint="close the program that holds it"
            )
        case sqlite3.SQLITE_FULL:
            return StorageError(f"no space left for the history: {path}", hint="free some space")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StorageError(
                f"the history is damaged: {path}", hint="move the file away; a new one is made"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StorageError(f"the history may not be written to: {path}")
        case _:
            return StorageError(f"the history cannot be used: {path}: {error}")


def _code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; the extended ones are in its higher bits."""
    code: Any = getattr(error, "sqlite_errorcode", 0)
    return int(code) & 0xFF
