"""A bug's traceback in a file that only its user can read, and that can be sent to others.

It holds none of the user's text: no local variables, no arguments, and no message of an exception that may
quote what was being worked on.
"""

from __future__ import annotations

import os
import platform
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from assistant import __version__, files, paths

NAMING_ERRORS = (AttributeError, ImportError, NameError, NotImplementedError, RecursionError, TypeError)
"""Their messages name what is in the code."""


def write_crash_log(error: BaseException) -> Path:
    """Write the log of a bug and return where it is.

    Raises:
        AssistantError: It cannot be written.
    """
    directory = files.make_private_dir(paths.log_dir())
    path = directory / f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    files.write_atomic(path, render_crash(error).encode(), mode=0o600)
    return path


def render_crash(error: BaseException) -> str:
    """Return the traceback, with the exceptions that led to it first."""
    head = f"assistant {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
    return head + "\n".join(_sections(error, seen=set()))


def _sections(error: BaseException, *, seen: set[int]) -> Iterator[str]:
    if id(error) in seen:
        return
    seen.add(id(error))
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None:
        yield from _sections(earlier, seen=seen)
        yield "and then:\n"
    yield "".join(traceback.format_tb(error.__traceback__)) + _summary(error) + "\n"


def _summary(error: BaseException) -> str:
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, NAMING_ERRORS):
        return f"{kind}: {error}"
    if isinstance(error, OSError):
        return f"{kind}: [{error.errno}] {error.strerror}"
    return f"{kind} (its message is left out)"
