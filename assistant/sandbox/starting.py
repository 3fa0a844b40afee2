"""Starts a job behind a backend's command: pipes, channel, plan, and the wait for its first sign of life."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

from assistant.errors import SandboxError
from assistant.sandbox.interface import Job, Limits
from assistant.sandbox.launching import Command, launch
from assistant.sandbox.plans import Rights, write_plan
from assistant.sandbox.watching import GONE_TIMEOUT_S, Started, WatchedProcess, read_to_end

START_TIMEOUT_S = 10.0
"""To set up a sandbox takes some hundredths of a second, on a busy machine some tenths."""
MAX_COMPLAINT_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Handles:
    """Descriptors that a backend's command line names."""

    plan: int
    report: int
    """For what the program that confines has to say of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """How a backend starts a job."""

    name: str
    build_argv: Callable[[Handles], list[str]]
    find_reaper: Callable[[bytes], int] | None = None
    """Reads from the report the number of the process whose end is the end of everything in the sandbox."""
    user: int = 0
    """The number of the user that the job becomes, or 0."""
    rights: Rights | None = None
    """What the job keeps, where it has to confine itself."""
    descriptors: tuple[int, ...] = ()
    """What the command line names beside the handles."""


def start_job(job: Job, limits: Limits, confinement: Confinement) -> WatchedProcess:
    """Start a job and return when it is confined, limited and about to begin.

    Raises:
        SandboxError: The sandbox does not start.
    """
    if not hasattr(os, "pidfd_open"):
        raise SandboxError(f"{confinement.name} needs Linux 5.3 or newer")
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
        output, output_end = _open_pipe(ours, theirs)
        report, report_end = _open_pipe(ours, theirs)
        ready, ready_end = _open_pipe(ours, theirs)
        channel, channel_end = _open_channel(ours, theirs) if job.channel else (None, -1)
        plan = write_plan(
            job,
            limits,
            ready=ready_end,
            channel=channel_end,
            user=confinement.user,
            rights=confinement.rights,
        )
        theirs.callback(os.close, plan)
        inherited = (plan, report_end, ready_end, channel_end, *confinement.descriptors)
        command = Command(
            argv=confinement.build_argv(Handles(plan=plan, report=report_end)),
            stdout=output_end,
            descriptors=tuple(number for number in inherited if number >= 0),
        )
        began = time.monotonic()
        try:
            child = launch(command)
        except OSError as error:
            raise SandboxError(f"{confinement.name} does not start: {error.strerror}") from error
        theirs.close()
        if not _is_ready(ready):
            raise _explain(confinement.name, child, output)
        reaper = _open_reaper(confinement, read_to_end(report, START_TIMEOUT_S))
        os.close(ready)
        os.close(report)
        ours.pop_all()
        return WatchedProcess(
            Started(
                child=child,
                began=began,
                output=output,
                reaper=reaper,
                channel=channel,
                limits=limits,
                sandbox=confinement.name,
            )
        )


def _open_pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    theirs.callback(os.close, writing)
    return reading, writing


def _open_channel(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[socket.socket, int]:
    near, far = socket.socketpair()
    ours.callback(near.close)
    theirs.callback(far.close)
    return near, far.fileno()


def _is_ready(ready: int) -> bool:
    return bool(select.select([ready], [], [], START_TIMEOUT_S)[0]) and bool(os.read(ready, 1))


def _open_reaper(confinement: Confinement, report: bytes) -> int | None:
    if confinement.find_reaper is None:
        return None
    try:
        return os.pidfd_open(confinement.find_reaper(report))
    except (ProcessLookupError, ValueError, KeyError):  # it has ended already, or was killed as it began
        return None


def _explain(name: str, child: subprocess.Popen[bytes], output: int) -> SandboxError:
    """End what did not come to its job, and pass on what it said."""
    child.kill()
    child.wait()
    said = read_to_end(output, GONE_TIMEOUT_S)[:MAX_COMPLAINT_BYTES].decode("utf-8", "replace").strip()
    return SandboxError(f"{name} does not start: {said or 'it ended without a word'}")
