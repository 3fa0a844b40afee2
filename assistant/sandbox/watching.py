"""A running job: reads its output, ends it at its limits, says how it ended. Knows no backend."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass

from assistant.sandbox.interface import Ended, Limits, Outcome

PIECE_BYTES = 64 * 1024
GONE_TIMEOUT_S = 5.0
"""How long the kernel may take to clear away what was killed."""
SIGNAL_BASE = 128
"""A sandbox that reports a signal of its job by an exit code adds this to it, as a shell does."""
DEADLY_SIGNALS = frozenset(
    (
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSYS,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What a backend hands over of a job that it has started. The descriptors are closed by the watch."""

    child: subprocess.Popen[bytes]
    began: float
    """`time.monotonic()`."""
    output: int
    """The reading end of its standard output."""
    reaper: int | None
    """A handle on the process whose end is that of everything in the sandbox; None where it is the child."""
    channel: socket.socket | None
    limits: Limits
    sandbox: str


class WatchedProcess:
    """A job that runs. A thread of its own ends it at its limits, whether or not anybody waits.

    Args:
        started: What was started.
    """

    def __init__(self, started: Started) -> None:
        self.channel = started.channel
        self._started = started
        self._handle = os.pidfd_open(started.child.pid)
        self._lock = threading.Lock()  # over the handle and the reason
        self._is_reaped = False
        self._reason: Outcome | None = None
        self._content = bytearray()
        self._is_cut = False
        self._ended: list[Ended] = []
        self._thread = threading.Thread(target=self._watch, name="sandbox-watch", daemon=True)
        self._thread.start()

    def wait(self) -> Ended:
        """Return what came of it, when it is over and everything that it started is gone."""
        self._thread.join()
        return self._ended[0]

    def stop(self) -> None:
        """End it. From any thread, any number of times."""
        self._end(Outcome.STOPPED)

    def _end(self, reason: Outcome) -> None:
        with self._lock:
            if self._is_reaped:
                return
            self._reason = self._reason or reason
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def _watch(self) -> None:
        self._read_until_over()
        code = self._reap()
        seconds = time.monotonic() - self._started.began
        self._wait_for_reaper()
        self._read_rest()
        os.close(self._started.output)
        outcome = self._reason or _outcome_of(code)
        self._ended.append(
            Ended(
                outcome=outcome,
                exit_code=code if outcome is Outcome.EXITED else None,
                output=bytes(self._content),
                is_cut=self._is_cut,
                seconds=seconds,
                sandbox=self._started.sandbox,
            )
        )

    def _read_until_over(self) -> None:
        """Return when the child has ended, which is at the latest soon after it was killed."""
        deadline = self._started.began + self._started.limits.wall_s
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        poll.register(self._started.output, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if self._reason is None and left <= 0:
                self._end(Outcome.TIMED_OUT)
            events = dict(poll.poll(None if self._reason else max(left, 0) * 1000 + 1))
            if self._handle in events:
                return
            if events.get(self._started.output) and not self._read_piece():
                poll.unregister(self._started.output)

    def _wait_for_reaper(self) -> None:
        if self._started.reaper is not None:
            poll = select.poll()
            poll.register(self._started.reaper, select.POLLIN)
            poll.poll(GONE_TIMEOUT_S * 1000)
            os.close(self._started.reaper)

    def _read_rest(self) -> None:
        os.set_blocking(self._started.output, False)
        with contextlib.suppress(BlockingIOError):
            while not self._is_cut and self._read_piece():
                pass

    def _read_piece(self) -> bool:
        """Keep what there is room for. Returns whether there may be more."""
        piece = os.read(self._started.output, PIECE_BYTES)
        room = self._started.limits.output_bytes - len(self._content)
        self._content += piece[:room]
        if len(piece) > room:
            self._is_cut = True
            self._end(Outcome.TOO_MUCH_OUTPUT)
            self._reason = self._reason or Outcome.TOO_MUCH_OUTPUT
        return bool(piece) and not self._is_cut

    def _reap(self) -> int:
        with self._lock:
            self._is_reaped = True
            code = self._started.child.wait()
            os.close(self._handle)
        return code


def read_to_end(descriptor: int, timeout_s: float) -> bytes:
    """Read a pipe to its end, or as long as allowed. Returns what came."""
    deadline = time.monotonic() + timeout_s
    found = bytearray()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0:
        if poll.poll(left * 1000 + 1):
            piece = os.read(descriptor, PIECE_BYTES)
            if not piece:
                break
            found += piece
    return bytes(found)


def _outcome_of(code: int) -> Outcome:
    """Tell from an exit code what ended a job that we did not end.

    A job can exit with the code that stands for a signal: it then lies about itself alone.
    """
    number = -code if code < 0 else code - SIGNAL_BASE
    if number == signal.SIGXCPU:
        return Outcome.TIMED_OUT
    return Outcome.KILLED if code < 0 or number in DEADLY_SIGNALS else Outcome.EXITED
