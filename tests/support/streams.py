"""Standard output and standard error that remember what was written to them."""

from __future__ import annotations

import io

from assistant.commands.asking import Streams
from assistant.commands.messages import Messages
from assistant.commands.output import Output
from assistant.commands.terminal import Screen

PIPE = Screen()
PLAIN_TERMINAL = Screen(is_terminal=True)
COLOR_TERMINAL = Screen(is_terminal=True, has_color=True)
TERMINAL_WITH_STATUS = Screen(is_terminal=True, can_rewrite=True)


class RecordedStreams:
    """Both streams of a command, as `Streams`, and what came out of them."""

    def __init__(self, *, out: Screen = PIPE, err: Screen = PIPE, is_quiet: bool = False) -> None:
        self._bytes = io.BytesIO()
        self._errors = io.StringIO()
        stdout = io.TextIOWrapper(self._bytes, encoding="utf-8", write_through=True)
        self.streams = Streams(
            output=Output(stdout, out), messages=Messages(self._errors, err, is_quiet=is_quiet)
        )

    @property
    def out(self) -> str:
        return self._bytes.getvalue().decode()

    @property
    def err(self) -> str:
        return self._errors.getvalue()
