"""One job's progress, as the editor shows it: what is waited for, how much is written, and how fast.

Everything here runs on the event loop. Knows nothing of what the job is about.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from lsprotocol import types

from assistant.requests import Loading

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Any

    from pygls.lsp.server import LanguageServer

ProgressToken = int | str


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
        self.token: ProgressToken | None = client_token
        if window is not None and window.work_done_progress:
            # A client's token is good until its request is answered, which is at once.
            self.token = str(uuid.uuid4())
            params = types.WorkDoneProgressCreateParams(token=self.token)
            created = server.protocol.send_request(types.WINDOW_WORK_DONE_PROGRESS_CREATE, params)
            created.add_done_callback(self._begin_if_created)
        elif client_token is not None:
            self._begin()

    def report(self, message: str) -> None:
        """Show what is being done now."""
        if message == self._message or self._has_ended:
            return
        self._message = message
        if self._has_begun:
            self._notify(types.WorkDoneProgressReport(message=message, cancellable=True))

    def end(self, message: str) -> None:
        """Take it away, with a last word."""
        if self._has_begun and not self._has_ended:
            self._notify(types.WorkDoneProgressEnd(message=message))
        self._has_ended = True

    def _begin_if_created(self, created: Future[Any]) -> None:
        if not created.cancelled() and created.exception() is None and not self._has_ended:
            self._begin()

    def _begin(self) -> None:
        self._has_begun = True
        message = self._message or None
        self._notify(types.WorkDoneProgressBegin(title=self._title, message=message, cancellable=True))

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
