"""A backend and the one process that it starts."""

from __future__ import annotations

import socket
from collections.abc import Callable

from assistant.sandbox.interface import Ended, Job, Limits, Outcome


class StartedProcess:
    name = "bubblewrap"
    channel: socket.socket | None = None

    def __init__(self) -> None:
        self.stops = 0
        self.on_start: Callable[[], None] = lambda: None

    def start(self, job: Job, limits: Limits) -> StartedProcess:
        self.on_start()
        return self

    def stop(self) -> None:
        self.stops += 1

    def wait(self) -> Ended:
        return Ended(
            outcome=Outcome.STOPPED, exit_code=None, output=b"", is_cut=False, seconds=0.0, sandbox=self.name
        )
