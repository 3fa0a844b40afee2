# pyright: basic
"""The process that holds the code under test: runs it, and answers calls. Knows no test, no expected value.

Nothing here is a defence: the code can change all of it. What it can gain by that is to answer differently.
"""

from __future__ import annotations

import builtins
import io
import os
import sys

from assistant.judging.crossing import text_of
from assistant.judging.operations import perform
from assistant.judging.peer import Peer
from assistant.judging.wire import Gone, ProtocolError, parse_json, read_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MODULE = "solution"


class Printed(io.StringIO):
    """Keeps what the code prints, for tests that ask for it; too much of it goes where it is counted."""

    def __init__(self, real: Any, limit: int) -> None:
        super().__init__()
        self._real = real
        self._left = limit

    @property
    def buffer(self) -> Any:
        """Where bytes go."""
        return self._real.buffer

    def write(self, text: str) -> int:
        """Keep a text."""
        self._left -= len(text)
        if self._left >= 0:
            return super().write(text)
        return self._real.write(text)

    def take(self) -> str:
        """Return what was printed since."""
        text = self.getvalue()
        if text:
            self.seek(0)
            self.truncate()
        return text


class Candidate(Peer):
    """Answers for the code."""

    def __init__(self, channel: int, printed: Printed) -> None:
        super().__init__(channel)
        self._printed = printed

    def perform(self, op: str, parts: list[Any]) -> Any:
        """Do what the tests ask."""
        return perform(op, parts)

    def take_own_printed(self) -> str:
        """Return what the code has printed since."""
        return self._printed.take()

    def resolve(self, part: list[Any]) -> Any:
        """Read a builtin function that a test gives."""
        if part[0] == "bf":
            return getattr(builtins, part[1])
        return super().resolve(part)

    def introduce(self, defined: dict[str, Any]) -> None:
        """Say what the code defines."""
        told: dict[str, Any] = {}
        for name, value in defined.items():
            try:
                self._encoder([]).encode(value)
            except (ValueError, TypeError):
                continue
            told[name] = value
        self.send(self._reply(told, [], []))


def choose_names(module: Any, names: list[str]) -> dict[str, Any]:
    """Return what the tests may use: what they name, or all that the code itself defines."""
    defined = vars(module)
    if names:
        return {name: defined[name] for name in names if name in defined}
    chosen: dict[str, Any] = {}
    for name, value in list(defined.items()):
        home = getattr(value, "__module__", module.__name__) if callable(value) else module.__name__
        if not name.startswith("_") and type(value) is not type(sys) and home == module.__name__:
            chosen[name] = value
    return chosen


def main(channel: int) -> None:
    """Load the code and answer until nobody asks any more."""
    task = parse_json(read_frame(channel)[1])
    printed = Printed(sys.stdout, task["output_bytes"])
    candidate = Candidate(channel, printed)
    sys.stdout = printed
    module = type(sys)(task["module"] or MODULE)
    sys.modules[module.__name__] = module
    try:
        exec(compile(task["code"], "<code>", "exec", dont_inherit=True), vars(module))  # noqa: S102
        defined = choose_names(module, task["names"])
    except BaseException as error:  # noqa: BLE001 - whatever it is, the code cannot be loaded
        candidate.send(["load", type(error).__name__, text_of(error)])
        return
    try:
        candidate.introduce(defined)
        while True:
            candidate.answer(candidate.receive())
    except (Gone, ProtocolError):
        os._exit(0)
