"""Passes messages between the code's process and the tests' process, and reads the verdicts of the latter.

What the code's process sends is never read here, only counted and measured: the two take turns, and one that
speaks out of turn is ended.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from assistant.judging.interface import Standing
from assistant.judging.wire import (
    GONE,
    HEAD_BYTES,
    MAX_FRAME_BYTES,
    REPORT,
    TALK,
    ProtocolError,
    pack_frame,
    parse_json,
)
from assistant.sandbox import Ended, Outcome, Process

MAX_FRAMES = 400_000
"""Of both sides in one judgement."""
CANCEL_CHECK_S = 0.05
HANG_UP_S = 1.0
"""From the end of what a process says to its own end."""
STANDINGS = frozenset(map(str, Standing))
READ_BYTES = 1 << 18


class Side:
    """One of the two processes, and what is on its way from and to it."""

    def __init__(self, process: Process) -> None:
        assert process.channel is not None
        self.process = process
        self.channel: socket.socket = process.channel
        self.channel.setblocking(False)
        self.ended: Ended | None = None
        self.is_open = True
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def _wait(self) -> None:
        self.ended = self.process.wait()

    @property
    def has_outgoing(self) -> bool:
        """Whether something is still to be sent."""
        return bool(self._outgoing)

    def queue(self, kind: bytes, body: bytes) -> None:
        """Send a frame when the other end takes it."""
        if self.is_open:
            self._outgoing += pack_frame(kind, body)
            self.flush()

    def flush(self) -> None:
        """Send as much as the other end takes now."""
        try:
            while self._outgoing:
                del self._outgoing[: self.channel.send(self._outgoing)]
        except BlockingIOError:
            return
        except OSError:
            self._outgoing.clear()  # what it has sent before is still to be read

    def receive(self) -> bool:
        """Read what is there; False at the end."""
        try:
            piece = self.channel.recv(READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            piece = b""
        self._incoming += piece
        return bool(piece)

    def take_frame(self) -> tuple[bytes, bytes] | None:
        """Return the next whole frame.

        Raises:
            ProtocolError: It is longer than a frame may be.
        """
        if len(self._incoming) < HEAD_BYTES:
            return None
        length = int.from_bytes(self._incoming[1:HEAD_BYTES], "big")
        if length > MAX_FRAME_BYTES:
            raise ProtocolError("a message that is too long")
        if len(self._incoming) < HEAD_BYTES + length:
            return None
        kind, body = bytes(self._incoming[:1]), bytes(self._incoming[HEAD_BYTES : HEAD_BYTES + length])
        del self._incoming[: HEAD_BYTES + length]
        return kind, body

    def end(self) -> Ended:
        """End the process, wait until it is gone, and return what came of it."""
        self.is_open = False
        self.process.stop()
        self._waiter.join()
        with contextlib.suppress(OSError):
            self.channel.close()
        assert self.ended is not None
        return self.ended

    def wait_briefly(self) -> Ended | None:
        """Return what came of a process that hung up, or None where it goes on all the same."""
        self._waiter.join(timeout=HANG_UP_S)
        return self.ended


@dataclass(kw_only=True)
class Verdicts:
    """What the tests' process has reported, and what ended the talk."""

    cases: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Standing and error, in order."""
    load_error: str = ""
    stopped: str = ""
    """Why this process ended the talk."""
    is_alone: bool = False
    """There is no process but that of the tests."""
    is_done: bool = False
    candidate_end: str = ""
    """Why the code's process ended before its time."""
    referee_end: str = ""
    talked: int = 0
    """Messages since the last case ended."""


def end_all(sides: list[Side]) -> None:
    """End processes, all at once."""
    for side in sides:
        side.process.stop()
    for side in sides:
        side.end()


def say_end(ended: Ended | None, who: str) -> str:
    """Say in words why a process that was not asked to has ended, or hung up."""
    if ended is None:
        return f"the {who} closed its channel"
    if ended.outcome is Outcome.EXITED:
        return f"the {who} ended its process (exit code {ended.exit_code})"
    if ended.outcome is Outcome.KILLED:
        return "killed (out of memory, or from outside)"
    return str(ended.outcome)


class Relay:
    """One judgement's talk."""

    def __init__(
        self, referee: Side, candidate: Side | None = None, *, nonce: str, is_over: Callable[[], str]
    ) -> None:
        """Prepare it.

        Args:
            referee: The process with the tests.
            candidate: The process with the code, if it is another.
            nonce: What makes a report one of the tests' process.
            is_over: Why to end early, or the empty string; asked often.
        """
        self._candidate, self._referee = candidate, referee
        self._sides = [side for side in (candidate, referee) if side is not None]
        self._nonce = nonce
        self._is_over = is_over
        self._turn = candidate
        self._frames = 0
        self.verdicts = Verdicts(is_alone=candidate is None)

    def run(self) -> Verdicts:
        """Pass messages until the tests' process has nothing more to say."""
        with selectors.DefaultSelector() as selector:
            for side in self._sides:
                selector.register(side.channel, selectors.EVENT_READ, side)
            while not self._is_finished():
                if why := self._is_over():
                    self.verdicts.stopped = why
                    break
                for key, events in self._select(selector):
                    self._serve(selector, key.data, events)
        return self.verdicts

    def _is_finished(self) -> bool:
        verdicts = self.verdicts
        return verdicts.is_done or bool(verdicts.load_error or verdicts.referee_end)

    def _select(self, selector: selectors.BaseSelector) -> list[tuple[selectors.SelectorKey, int]]:
        for side in self._sides:
            if side.is_open:
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if side.has_outgoing else 0)
                selector.modify(side.channel, wanted, side)
        return selector.select(timeout=CANCEL_CHECK_S)

    def _serve(self, selector: selectors.BaseSelector, side: Side, events: int) -> None:
        if not side.is_open:
            return
        if events & selectors.EVENT_WRITE:
            side.flush()
        if events & selectors.EVENT_READ:
            is_there = side.receive()
            try:
                while not self._is_finished() and (frame := side.take_frame()):
                    self._pass(side, *frame)
            except ProtocolError as error:
                selector.unregister(side.channel)
                self._lose(side, f"the code broke into the talk with its tests ({error})")
                return
            if not is_there:
                selector.unregister(side.channel)
                side.is_open = False
                self._lose(side, say_end(side.wait_briefly(), "test" if side is self._referee else "code"))

    def _pass(self, side: Side, kind: bytes, body: bytes) -> None:
        if kind == REPORT and side is self._referee:
            self._take_report(parse_json(body))
            return
        self._frames += 1
        if kind != TALK or self._turn is not side or self._frames > MAX_FRAMES:
            raise ProtocolError("out of turn" if self._frames <= MAX_FRAMES else "too many messages")
        self.verdicts.talked += 1
        self._turn = next(other for other in self._sides if other is not side)
        self._turn.queue(TALK, body)

    def _take_report(self, report: Any) -> None:
        match report:
            case [self._nonce, "case", str(standing), str(error)] if standing in STANDINGS:
                self.verdicts.cases.append((standing, error))
                self.verdicts.talked = 0
            case [self._nonce, "load", str(error)]:
                self.verdicts.load_error = error or "the code cannot be loaded"
            case [self._nonce, "done"]:
                self.verdicts.is_done = True
            case _:
                raise ProtocolError("no report")

    def _lose(self, side: Side, why: str) -> None:
        if side is self._referee:
            self.verdicts.referee_end = why
            return
        side.process.stop()
        side.is_open = False
        self.verdicts.candidate_end = why
        self._referee.queue(GONE, why.encode())


def deadline_after(seconds: float, cancel: threading.Event | None) -> Callable[[], str]:
    """Return what says why a judgement is to end early."""
    until = time.monotonic() + seconds

    def is_over() -> str:
        if cancel is not None and cancel.is_set():
            return "stopped"
        return "timed out" if time.monotonic() > until else ""

    return is_over
