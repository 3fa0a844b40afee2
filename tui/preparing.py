"""Bringing the generator up while the user already types: a thread that reports to the screen."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from textual.message import Message
from textual.screen import Screen

from assistant.errors import AssistantError
from assistant.requests import Loading
from tui.services import Prepare


@dataclass
class Reported(Message):
    """What is being waited for."""

    loading: Loading


@dataclass
class Prepared(Message):
    """The generator is up."""

    model: str


@dataclass
class NotPrepared(Message):
    """The generator did not come up."""

    error: AssistantError


class Preparing:
    """One attempt at a time.

    Args:
        screen: Gets the messages.
        prepare: What brings the generator up; None where nothing does.
    """

    def __init__(self, screen: Screen[None], prepare: Prepare | None) -> None:
        self._screen = screen
        self._prepare = prepare
        self._cancelled = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, if it is not going on already."""
        if self._prepare is None or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._run, args=(self._prepare,), name="prepare", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Give up: the program ends."""
        self._cancelled.set()

    def _run(self, prepare: Prepare) -> None:
        try:
            model = prepare(lambda loading: self._post(Reported(loading)), self._cancelled)
        except AssistantError as error:
            self._post(NotPrepared(error))
        else:
            self._post(Prepared(model))

    def _post(self, message: Message) -> None:
        if not self._cancelled.is_set():
            self._screen.post_message(message)
