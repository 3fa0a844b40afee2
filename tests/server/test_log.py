from __future__ import annotations

import asyncio
import logging
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.errors import StorageError
from assistant.server.log import (
    BACKUPS,
    FILE_NAME,
    MAX_BYTES,
    note_loop_exception,
    render_exception,
    start_log,
)

NAMES = ("assistant", "uvicorn", "")


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    """A log that is being written, and loggers and hooks as they were afterwards."""
    before = {name: list(logging.getLogger(name).handlers) for name in NAMES}
    hooks = sys.excepthook, threading.excepthook
    start_log(tmp_path, to_terminal=False)
    yield tmp_path / FILE_NAME
    sys.excepthook, threading.excepthook = hooks
    for name in NAMES:
        logger = logging.getLogger(name)
        logger.propagate = True
        for handler in [handler for handler in logger.handlers if handler not in before[name]]:
            logger.removeHandler(handler)
            handler.close()


def fail() -> None:
    try:
        raise KeyError("MARKER")
    except KeyError as error:
        raise ValueError("MARKER") from error


def caught() -> ValueError:
    with pytest.raises(ValueError, match="MARKER") as info:
        fail()
    return info.value


def test_exception_is_its_type_and_its_places() -> None:
    text = render_exception(caught())
    assert "builtins.ValueError" in text
    assert "builtins.KeyError" in text
    assert "in fail" in text
    # The line of source that raised is there, and what the exception said is not.
    assert text.count("MARKER") == text.count('Error("MARKER")')


def test_exception_in_a_circle_ends() -> None:
    one, two = ValueError(), KeyError()
    one.__cause__, two.__cause__ = two, one
    assert render_exception(one).count("Error") == 2


def test_logged_exception_says_nothing_of_values(log_file: Path) -> None:
    secret = "SEC" + "RET"
    try:
        int(secret)
    except ValueError:
        logging.getLogger("assistant.engine").exception("the engine failed")
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application\n")
    text = log_file.read_text()
    assert text.count("builtins.ValueError") == 2
    assert secret not in text


def test_error_on_the_event_loop_says_nothing_of_arguments(log_file: Path) -> None:
    secret = "SEC" + "RET"

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(note_loop_exception)
        loop.call_soon(int, secret)
        await asyncio.sleep(0)

    asyncio.run(run())
    text = log_file.read_text()
    assert "builtins.ValueError" in text
    assert secret not in text


def test_error_on_a_thread_says_nothing_of_values(log_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secret = "SEC" + "RET"
    thread = threading.Thread(target=int, args=[secret])
    thread.start()
    thread.join()
    assert "builtins.ValueError" in log_file.read_text()
    assert secret not in log_file.read_text() + "".join(capfd.readouterr())


def test_what_other_libraries_warn_of_is_not_kept(log_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("transformers").warning("SECRET")
    assert "SECRET" not in log_file.read_text() + "".join(capfd.readouterr())


def test_log_is_this_users_alone_and_stays_small(log_file: Path) -> None:
    logger = logging.getLogger("assistant.server")
    line = "x" * 10_000
    for _ in range((BACKUPS + 3) * MAX_BYTES // len(line)):
        logger.info(line)
    files = sorted(log_file.parent.iterdir())
    assert len(files) == BACKUPS + 1
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert sum(file.stat().st_size for file in files) <= (BACKUPS + 1) * MAX_BYTES


def test_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError):
        start_log(tmp_path, to_terminal=False)
    assert not (tmp_path / "elsewhere").exists()
