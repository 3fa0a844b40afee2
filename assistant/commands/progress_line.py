"""One line that says how an answer comes along, rewritten ten times a second on a terminal."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator

from assistant.answers import Answer
from assistant.commands.messages import Messages
from assistant.requests import Event, Loading, Started, Token

REDRAW_S = 0.1


class ProgressLine:
    """Follows the events of one request.

    Args:
        messages: Where the line is shown.
        clock: Seconds, from any start.
    """

    def __init__(self, messages: Messages, clock: Callable[[], float] = time.monotonic) -> None:
        self._messages = messages
        self._clock = clock
        self._began = clock()
        self._stage = "waiting for the generator"
        self._model = ""
        self._pieces = 0
        self._first_piece_at = 0.0

    @contextlib.contextmanager
    def shown(self) -> Generator[None]:
        """Keep the line up to date, also while nothing comes."""
        if not self._messages.has_status:
            yield
            return
        ended = threading.Event()

        def redraw() -> None:
            while not ended.wait(REDRAW_S):
                self._messages.show_status(self.render())

        thread = threading.Thread(target=redraw, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._messages.show_status("")

    def note_event(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case Loading(stage=stage, fraction=fraction):
                self._stage = stage if fraction is None else f"{stage} {fraction:.0%}"
            case Started(model=model):
                self._model = model
            case Token():
                self._first_piece_at = self._first_piece_at or self._clock()
                self._pieces += 1
            case _:
                pass

    def render(self) -> str:
        """Return the line. A piece of text is counted as one token until the generator gives the number."""
        now = self._clock()
        elapsed = f"{now - self._began:.1f} s"
        if not self._model:
            return f"{self._stage} · {elapsed}"
        if not self._pieces:
            return f"{self._model} · reading the task · {elapsed}"
        seconds = now - self._first_piece_at
        speed = f" · {self._pieces / seconds:.1f} tok/s" if seconds > REDRAW_S else ""
        return f"{self._model} · {self._pieces} tokens{speed} · {elapsed}"


def render_summary(answer: Answer) -> str:
    """Return the line that stays when an answer has come: model, tokens, speed, why it ended."""
    parts = [answer.model or "?"]
    if answer.usage is not None:
        parts.append(f"{answer.usage.completion_tokens} tokens")
    if answer.tokens_per_s is not None:
        parts.append(f"{answer.tokens_per_s:.1f} tok/s")
    parts.append(", ".join(dict.fromkeys(reason.value for reason in answer.finish_reasons)))
    return " · ".join(parts)
