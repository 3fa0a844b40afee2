"""A sandbox whose programs can all be ended at once: whoever stops a verification does not wait for them."""

from __future__ import annotations

import threading

from assistant.errors import SandboxError
from assistant.sandbox.interface import Backend, Job, Limits, Process


class StoppingSandbox:
    """A backend that remembers what it started.

    Args:
        backend: Who starts it.
    """

    def __init__(self, backend: Backend) -> None:
        self.name = backend.name
        self._backend = backend
        self._lock = threading.Lock()
        self._processes: list[Process] = []
        self._is_stopped = False

    def start(self, job: Job, limits: Limits) -> Process:
        """Start a program, from any thread.

        Raises:
            SandboxError: It cannot be started, or all have been stopped.
        """
        if self._is_stopped:
            raise SandboxError("the verification was stopped")
        process = self._backend.start(job, limits)
        with self._lock:
            self._processes.append(process)
            is_late = self._is_stopped
        if is_late:
            process.stop()
        return process

    def stop_all(self) -> None:
        """End every program, and start no more. From any thread, any number of times."""
        with self._lock:
            self._is_stopped = True
            processes, self._processes = self._processes, []
        for process in processes:
            process.stop()
