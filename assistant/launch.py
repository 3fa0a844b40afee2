"""Starting our generator's process when a client needs it. Ending it is `assistant.client.stopping`.

The process itself makes sure that there is only one (`assistant.server`); here callers that come at once
avoid starting one each.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from assistant import __version__, files, paths
from assistant.client.calls import PROTOCOL, Health, find_health, shutdown_generator
from assistant.client.failures import clean_text
from assistant.config import Config
from assistant.errors import GeneratorError
from assistant.requests import Loading

if TYPE_CHECKING:
    import subprocess

    import filelock

SERVER_ARGUMENTS = ("-P", "-m", "assistant.server")
"""For the same Python that runs us. `-P`: the directory we run in must not shadow modules."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
STUCK_PATIENCE_S = 10.0
"""A machine that swaps may hold the engine up for a while; longer, and it will not go on by itself."""
MAX_LOG_BYTES = 5 * 1024 * 1024
TERMINAL_VARIABLES = frozenset(
    {"COLUMNS", "LINES", "TERMCAP", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TERM_SESSION_ID", "WINDOWID"}
    | {"TMUX", "TMUX_PANE", "STY", "SSH_TTY", "COLORTERM", "FORCE_COLOR", "PS1", "OLDPWD", "PWD"}
    | {"PYTHONINSPECT", "PYTHONSTARTUP", "PYTHONBREAKPOINT", "PYTHONWARNINGS", "ASSISTANT_GENERATOR_TOKEN"}
)
"""What belongs to the terminal, or to the client, that happened to start the generator."""


def ensure_running(
    config: Config, report: Callable[[Loading], None], *, cancelled: threading.Event | None = None
) -> None:
    """Return when our generator answers; start it, or replace an older version of it, if need be.

    Its model may still be loading then.

    Args:
        config: `generator.connect_timeout_s` is how long this may take.
        report: Told what is being waited for.
        cancelled: Set it from another thread to return early.

    Raises:
        GeneratorError: It does not come up.
        AssistantError: Its directories cannot be used.
    """
    cancelled = cancelled or threading.Event()
    began = time.monotonic()
    pause_s = FIRST_PAUSE_S
    with _Launcher() as launcher:
        while not cancelled.is_set():
            health = find_health()
            if health is not None and _is_usable(health):
                return
            report(Loading(stage=_take_step(health, launcher)))
            waited_s = time.monotonic() - began
            if waited_s > _patience_s(health, config):
                raise _late_error(health, waited_s)
            cancelled.wait(pause_s)
            pause_s = min(pause_s * 1.5, LONGEST_PAUSE_S)


def log_path() -> Path:
    """The log that a running generator keeps."""
    return paths.log_dir() / "server.log"


def output_path() -> Path:
    """What the process writes to its standard output and error: why it did not come up, most of all."""
    return paths.log_dir() / "server-output.log"


def _is_usable(health: Health) -> bool:
    if health.status in ("silent", "stuck"):
        return False
    if health.protocol is None:
        return True  # it loads: who it is can be asked later
    if health.protocol > PROTOCOL:
        raise GeneratorError(
            f"the running generator ({health.version}) is newer than this program ({__version__})",
            hint="start this program again, or `assistant stop`",
        )
    return health.protocol == PROTOCOL and _release(health.version) >= _release(__version__)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _take_step(health: Health | None, launcher: _Launcher) -> str:
    """Do what brings a usable generator nearer; return what that is, for a status line."""
    if health is None:
        launcher.start()
        return "starting the generator"
    if health.status in ("silent", "stuck"):
        return "waiting for the generator"
    with contextlib.suppress(GeneratorError):  # asked already, it may hang up at any time
        shutdown_generator()
    return f"replacing the generator of version {health.version}"


def _patience_s(health: Health | None, config: Config) -> float:
    is_stuck = health is not None and health.status == "stuck"
    return min(STUCK_PATIENCE_S if is_stuck else math.inf, config.generator.connect_timeout_s)


def _late_error(health: Health | None, waited_s: float) -> GeneratorError:
    if health is None:
        return GeneratorError(
            f"the generator did not come up in {waited_s:.0f} s", hint=f"its logs are in {paths.log_dir()}"
        )
    hint = "`assistant stop`, then try again"
    if health.status in ("silent", "stuck"):
        return GeneratorError(f"the generator has not gone on for {waited_s:.0f} s", hint=hint)
    return GeneratorError(
        f"the generator of version {health.version} did not end in {waited_s:.0f} s", hint=hint
    )


class _Launcher:
    """Starts the process, if no other caller does. The lock is the kernel's: it dies with its holder."""

    def __init__(self) -> None:
        self._lock: filelock.BaseFileLock | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def __enter__(self) -> _Launcher:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def start(self) -> None:
        """Start the process, unless another caller is at it or the one we started is on its way.

        Raises:
            GeneratorError: The one we started ended with an error.
        """
        if self._child is not None:
            code = self._child.poll()
            if code is None:
                return
            if code != 0:
                raise self._start_error(code)
            # It found another one holding the generator's lock, which may be about to end.
        if self._lock is None:
            if not self._take_lock():
                return
            if find_health() is not None:
                return
        self._spawn()

    def _take_lock(self) -> bool:
        import filelock  # late: a warm start needs no lock

        directory = files.make_private_dir(paths.runtime_dir())
        lock = filelock.FileLock(directory / "launch.lock", mode=0o600)
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            return False
        self._lock = lock
        return True

    def _spawn(self) -> None:
        import subprocess  # late: a warm start spawns nothing

        log = _open_log()
        try:
            self._log_start = os.fstat(log).st_size
            self._child = subprocess.Popen(
                [sys.executable, *SERVER_ARGUMENTS],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=paths.runtime_dir(),
                env=_server_environment(os.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise GeneratorError(f"cannot start {sys.executable}: {error.strerror}") from error
        finally:
            os.close(log)
        # A front end may live for days; its ended child must not stay behind as a zombie.
        threading.Thread(target=self._child.wait, name="generator-reaper", daemon=True).start()

    def _start_error(self, code: int) -> GeneratorError:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        with output_path().open("rb") as log:
            log.seek(self._log_start)
            text = log.read(MAX_LOG_BYTES).decode("utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if line.lower().startswith("error:")]
        reason = clean_text((errors or lines or [how])[-1]).removeprefix("error: ")
        return GeneratorError(
            f"the generator could not start: {reason}",
            hint=f"`assistant doctor` says more; its logs are in {paths.log_dir()}",
        )


def _open_log() -> int:
    """Open the log to append to, readable by this user alone; a long one gives way to a new one."""
    path = files.make_private_dir(paths.log_dir()) / output_path().name
    flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0)
    try:
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_suffix(".old.log"))
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise files.storage_error(error, path) from error


def _server_environment(ours: Mapping[str, str]) -> dict[str, str]:
    theirs = {name: value for name, value in ours.items() if name not in TERMINAL_VARIABLES}
    theirs |= {"TERM": "dumb", "NO_COLOR": "1"}
    source = Path(__file__).resolve().parent.parent
    if source.name not in ("site-packages", "dist-packages"):
        # We run from a source tree; its directory is not on the new process's path by itself.
        theirs["PYTHONPATH"] = os.pathsep.join(filter(None, [str(source), ours.get("PYTHONPATH", "")]))
    return theirs
