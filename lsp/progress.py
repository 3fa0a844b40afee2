"""One job's progress, as the editor shows it: what is waited for, how much is written, and how fast.

`JobProgress` runs on the event loop, `Meter` on a job's thread. Knows nothing of what the job is about.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from lsprotocol import types

from assistant.requests import Event, Loading, Started, Token

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from pygls.lsp.server import LanguageServer

ProgressToken = int | str
REPORT_EVERY_S = 0.2


class JobProgress:
    """Begins when the editor has made a place for it; never begins where it has none.

    Args:
        server: Speaks to the editor.
        title: What the job does.
        client_token: The token that the editor sent with its request, if it did.
    """

    def __init__(self, server: LanguageServer, title: str, client_token: ProgressToken | None) -> None:
        self._server = server
        self._title = title
        self._message = ""
        self._has_begun = False
        self._has_ended = False
        window = server.client_capabilities.window
        self._is_created = window is not None and bool(window.work_done_progress)
        # A client's token is good until its request is answered, which is at once.
        self.token: ProgressToken | None = str(uuid.uuid4()) if self._is_created else client_token
        # The editor may wait for the answer to its request: nothing is asked of it before.
        asyncio.get_running_loop().call_soon(self._open)

    def report(self, message: str) -> None:
        """Show what is being done now."""
        if message == self._message or self._has_ended:
            return
        self._message = message
        if self._has_begun:
            self._notify(types.WorkDoneProgressReport(message=message, cancellable=True))

    def end(self, message: str) -> None:
        """Take it away, with a last word."""
        if self._has_ended:
            return
        self._has_ended = True
        self._message = message
        if self._has_begun:
            self._notify(types.WorkDoneProgressEnd(message=message))

    def _open(self) -> None:
        if self.token is None:
            return
        if not self._is_created:
            self._begin()
            return
        params = types.WorkDoneProgressCreateParams(token=self.token)
        created = self._server.protocol.send_request(types.WINDOW_WORK_DONE_PROGRESS_CREATE, params)
        created.add_done_callback(self._begin_if_created)

    def _begin_if_created(self, created: Future[Any]) -> None:
        if not created.cancelled() and created.exception() is None:
            self._begin()

    def _begin(self) -> None:
        self._has_begun = True
        message = self._message or None
        self._notify(types.WorkDoneProgressBegin(title=self._title, message=message, cancellable=True))
        if self._has_ended:  # an editor may turn a wheel from the creation on, until the end
            self._notify(types.WorkDoneProgressEnd(message=message))

    def _notify(self, value: object) -> None:
        assert self.token is not None
        self._server.protocol.notify(types.PROGRESS, types.ProgressParams(token=self.token, value=value))


def render_loading(event: Loading) -> str:
    """Say what a request waits for."""
    return event.stage if event.fraction is None else f"{event.stage}, {event.fraction:.0%}"


def render_writing(text: str, pieces: int, seconds: float) -> str:
    """Say how much there is and how fast it comes.

    Args:
        text: What has been written.
        pieces: In how many pieces it came; our generator sends one for each token.
        seconds: Since the first of them.
    """
    lines = len(text.splitlines())
    amount = f"{lines} line{'' if lines == 1 else 's'}"
    return f"{amount}, {pieces / seconds:.0f} tokens/s" if pieces > 1 and seconds >= 0.5 else amount


class Meter:
    """Turns a request's events into what is worth showing, and not more often than an eye can follow.

    Args:
        clock: Seconds, from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._text: list[str] = []
        self._first_at = 0.0
        self._shown_at = 0.0

    def take(self, event: Event) -> str | None:
        """Take the next event and return what to show now, if that is something else than before."""
        match event:
            case Loading():
                return render_loading(event)
            case Started():
                return "reading the code"
            case Token(text=text):
                return self._take_text(text)
            case _:
                return None

    def _take_text(self, text: str) -> str | None:
        now = self._clock()
        if not self._text:
            self._first_at = now
        self._text.append(text)
        if len(self._text) > 1 and now - self._shown_at < REPORT_EVERY_S:
            return None
        self._shown_at = now
        return render_writing("".join(self._text), len(self._text), now - self._first_at)
