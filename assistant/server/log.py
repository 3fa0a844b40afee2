"""The server's log: ids, sizes, times and outcomes. Never a prompt, an answer, the token or a header.

An exception is written as its type and its traceback, whose lines are source code: messages can hold what a
client sent. Only the process that holds the lock writes here, so rotating the file is safe.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import traceback
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType
from typing import Any

from assistant.files import storage_error

FILE_NAME = "server.log"
MAX_BYTES = 2 * 1024 * 1024
BACKUPS = 2

ExceptionTriple = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

_log = logging.getLogger(__name__)


class _SilentFormatter(logging.Formatter):
    """Formats exceptions without what they say."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        return render_exception(ei[1]) if ei[1] is not None else ""


class _PrivateFileHandler(RotatingFileHandler):
    """Makes files that only this user can read, and follows no links."""

    def _open(self) -> TextIOWrapper:
        def open_private(path: str, flags: int) -> int:
            return os.open(path, flags | os.O_NOFOLLOW, 0o600)

        return open(self.baseFilename, "a", encoding="utf-8", opener=open_private)


def render_exception(error: BaseException) -> str:
    """Render an exception and what led to it: types and places, no messages."""
    lines: list[str] = []
    step: BaseException | None = error
    seen: set[int] = set()
    while step is not None and id(step) not in seen:
        seen.add(id(step))
        lines += [
            f"{type(step).__module__}.{type(step).__qualname__}\n",
            *traceback.format_tb(step.__traceback__),
        ]
        step = step.__cause__ or (None if step.__suppress_context__ else step.__context__)
    return "".join(lines).rstrip()


def start_log(directory: Path, *, to_terminal: bool) -> None:
    """Begin to write the log, and see to it that nothing else says what a client sent.

    Args:
        directory: A private one.
        to_terminal: Write to standard error as well.

    Raises:
        StorageError: The file cannot be opened.
    """
    path = directory / FILE_NAME
    try:
        to_file = _PrivateFileHandler(path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8")
    except OSError as error:
        raise storage_error(error, path) from error
    handlers: list[logging.Handler] = [to_file]
    if to_terminal:
        handlers.append(logging.StreamHandler(sys.stderr))
    formatter = _SilentFormatter("%(asctime)s %(levelname)s %(message)s")
    for name, level in (("assistant", logging.INFO), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.propagate = False
        for handler in handlers:
            handler.setFormatter(formatter)
            logger.addHandler(handler)
    # Other libraries' warnings would go to standard error, with whatever they hold.
    logging.getLogger().addHandler(logging.NullHandler())
    sys.excepthook = _note_exception
    threading.excepthook = _note_thread_exception


def note_loop_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what escaped on the event loop. asyncio's own message shows arguments, so it is left out."""
    _log.error("unexpected error on the event loop", exc_info=context.get("exception"))


def _note_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _log.critical("unexpected error", exc_info=(kind, error, trace))


def _note_thread_exception(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        _log.error("unexpected error on a thread", exc_info=arguments.exc_value)
