"""What the two converters share: each is a process that reads foreign bytes and reports to its parent.

It has no network and no core dumps, and ends when its parent does. One JSON object a line goes to standard
output: `{"stage": …}`, in the end `{"done": true}` or `{"error": …, "hint": …, "kind": …}`.

How it has no network: on Linux, where the system lets a user make namespaces, it moves into an empty one;
everywhere an audit hook refuses sockets, programs and forks to Python code. The hook alone would not
stop machine code: the first line of defence is that nothing here runs any code that stands in a file.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assistant.errors import AssistantError, ModelError, StorageError
from assistant.files import storage_error

Report = Callable[[str], None]
"""Takes what is being done, in words for a status line."""

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
FORBIDDEN_EVENTS = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.fork", "os.system", "pty.")
BUG = 70


def run_converter(convert: Callable[[Path, Path, Report], None], arguments: list[str]) -> int:
    """Run a converter as this process and return its exit code.

    Args:
        convert: Takes the source, an empty directory to fill, and whom to tell.
        arguments: The two paths.
    """
    leave_network()  # first: a process with several threads cannot
    refuse_core_dumps()
    report = _claim_stdout()
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    source, target = (Path(argument) for argument in arguments)
    try:
        convert(source, target, lambda stage: report({"stage": stage}))
    except AssistantError as error:
        return _fail(report, error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            return _fail(report, storage_error(error, target))
        return _fail_with_bug(report, error)
    except MemoryError:
        return _fail(report, ModelError("there is not enough memory to convert the model"))
    except Exception as error:  # noqa: BLE001 - the process edge: foreign bytes raise what they like
        return _fail_with_bug(report, error)
    report({"done": True})
    return 0


def leave_network() -> bool:
    """Move into a namespace without any network, and say whether the system allowed that."""
    if not sys.platform.startswith("linux"):
        return False
    user, group = os.getuid(), os.getgid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    with contextlib.suppress(OSError):  # without a name here we stay who we are outside
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    return True


def refuse_core_dumps() -> None:
    """A crash must leave no copy of memory on the disk."""
    with contextlib.suppress(ImportError):  # Windows has no such thing
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def forbid_escapes() -> None:
    """From now on Python code in this process opens no socket and starts no program. Cannot be undone."""

    def refuse(event: str, _: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN_EVENTS):
            raise PermissionError(f"{event} is not allowed while a model is converted")

    sys.addaudithook(refuse)


def _claim_stdout() -> Callable[[dict[str, Any]], None]:
    """Keep standard output for reports: what libraries print goes to standard error."""
    channel = os.dup(1)
    os.dup2(2, 1)

    def report(document: dict[str, Any]) -> None:
        os.write(channel, (json.dumps(document) + "\n").encode())

    return report


def _end_with_parent() -> None:
    """End the process when the parent's end of standard input closes, however that came about."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def _fail(report: Callable[[dict[str, Any]], None], error: AssistantError) -> int:
    report({"error": error.message, "hint": error.hint, "kind": type(error).__name__})
    return error.exit_code


def _fail_with_bug(report: Callable[[dict[str, Any]], None], error: Exception) -> int:
    # safetensors and torch wrap the system's error into text of their own.
    if "No space left on device" in str(error) or "os error 28" in str(error):
        return _fail(report, StorageError("no space left for the converted model", hint="free some space"))
    traceback.print_exc()
    lines = str(error).strip().splitlines() or [""]
    report({"error": f"{type(error).__name__}: {lines[0][:500]}", "hint": "", "kind": "ModelError"})
    return BUG
