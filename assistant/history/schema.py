"""The tables, and how an older file becomes one of today. A step that has shipped is never edited."""

from __future__ import annotations

import sqlite3

_FIRST = (
    """
    CREATE TABLE conversations (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        started REAL NOT NULL,
        changed REAL NOT NULL
    )
    """,
    """
    CREATE TABLE exchanges (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        started REAL NOT NULL,
        task TEXT NOT NULL,
        input TEXT NOT NULL,
        answer TEXT NOT NULL,
        outcome TEXT NOT NULL,
        error TEXT NOT NULL,
        model TEXT NOT NULL,
        temperature REAL NOT NULL,
        top_p REAL NOT NULL,
        max_tokens INTEGER NOT NULL,
        seed INTEGER,
        prompt_tokens INTEGER,
        completion_tokens INTEGER,
        seconds REAL NOT NULL,
        tokens_per_s REAL,
        source TEXT NOT NULL,
        variant_of TEXT NOT NULL
    )
    """,
    "CREATE INDEX exchanges_by_conversation ON exchanges (conversation, started)",
    "CREATE INDEX conversations_by_change ON conversations (changed)",
    """
    CREATE VIRTUAL TABLE words USING fts5 (
        task, input, answer, content='exchanges', content_rowid='number', tokenize="unicode61 tokenchars '_'"
    )
    """,
    """
    CREATE TRIGGER words_added AFTER INSERT ON exchanges BEGIN
        INSERT INTO words (rowid, task, input, answer) VALUES (new.number, new.task, new.input, new.answer);
    END
    """,
    """
    CREATE TRIGGER words_removed AFTER DELETE ON exchanges BEGIN
        INSERT INTO words (words, rowid, task, input, answer)
        VALUES ('delete', old.number, old.task, old.input, old.answer);
    END
    """,
    """
    CREATE TRIGGER words_changed AFTER UPDATE OF task, input, answer ON exchanges BEGIN
        INSERT INTO words (words, rowid, task, input, answer)
        VALUES ('delete', old.number, old.task, old.input, old.answer);
        INSERT INTO words (rowid, task, input, answer) VALUES (new.number, new.task, new.input, new.answer);
    END
    """,
)

STEPS: tuple[tuple[str, ...], ...] = (_FIRST,)
"""Step n makes version n + 1 of the file out of version n."""


def read_version(connection: sqlite3.Connection) -> int:
    """Return the version of a file; 0 for a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, steps: tuple[tuple[str, ...], ...] = STEPS) -> None:
    """Bring a file to the newest version, all steps or none.

    Args:
        connection: In autocommit mode.
        steps: All steps there are.
    """
    if read_version(connection) >= len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again: another process may have done it while this one waited for the lock.
        for number in range(read_version(connection), len(steps)):
            for statement in steps[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
