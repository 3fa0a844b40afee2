"""A stand-in for a sandbox that confines nothing: for code that does no harm."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time

from assistant.sandbox import Ended, Job, Limits, Outcome


class UnconfinedProcess:
    def __init__(self, job: Job, limits: Limits) -> None:
        self.began = time.monotonic()
        self.limits = limits
        self.outcome = Outcome.EXITED
        ours, theirs = socket.socketpair()
        self.channel: socket.socket | None = ours
        self.output = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process has ended
        self.child = subprocess.Popen(
            [sys.executable, "-I", "-c", job.source, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno()],
            env={},
            cwd="/tmp",
        )
        theirs.close()
        self.timer = threading.Timer(limits.wall_s, self._end, [Outcome.TIMED_OUT])
        self.timer.daemon = True
        self.timer.start()

    def _end(self, outcome: Outcome) -> None:
        if self.child.poll() is None:
            self.outcome = outcome
            self.child.kill()

    def wait(self) -> Ended:
        code = self.child.wait()
        self.timer.cancel()
        self.output.seek(0)
        output = self.output.read()
        self.output.close()
        outcome = Outcome.KILLED if self.outcome is Outcome.EXITED and code < 0 else self.outcome
        return Ended(
            outcome=outcome,
            exit_code=code if outcome is Outcome.EXITED else None,
            output=output[: self.limits.output_bytes],
            is_cut=len(output) > self.limits.output_bytes,
            seconds=time.monotonic() - self.began,
            sandbox=Unconfined.name,
        )

    def stop(self) -> None:
        self._end(Outcome.STOPPED)


class Unconfined:
    name = "none"

    def start(self, job: Job, limits: Limits) -> UnconfinedProcess:
        return UnconfinedProcess(job, limits)
