"""One job from the event loop's side: its progress, its outcome, and the way of that into the editor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from lsprotocol import types
from pygls import uris

from assistant.errors import AssistantError
from lsp.actions.interface import Edits, Explanation, Outcome, Refused
from lsp.actions.registry import ActionSet
from lsp.asking import Errand, Made
from lsp.clients import Client
from lsp.delivery import Arrival, Delivery
from lsp.documents import Documents
from lsp.editor import EditorServer
from lsp.jobs import Job, StopReason
from lsp.mirror import Current, Snapshot
from lsp.progress import JobProgress
from lsp.results import Result

MAX_SENDINGS = 3
"""An editor whose user types on may refuse an edit; it is worked out anew so often."""
MAX_MESSAGE_CHARS = 3000
"""An explanation that cannot be shown as a document is cut to this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all assignments of a session share."""

    server: EditorServer
    client: Client
    documents: Documents
    delivery: Delivery
    actions: ActionSet
    keep: Callable[[Result], None]
    """Notes the last result of a document."""
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    """Runs something on the event loop to its end."""
    confirms: Callable[[], bool]
    """Whether the user wants to be asked before each edit."""


class Assignment:
    """Reports one errand. Its edit is sent by itself, or handed to whoever waits for it.

    Args:
        errand: What is to be done.
        around: Where.
        progress: Shows it.
        waits: Somebody waits for the edit (`codeAction/resolve`): it is not sent.
    """

    def __init__(
        self, errand: Errand, around: Surroundings, progress: JobProgress, *, waits: bool = False
    ) -> None:
        self.errand = errand
        self._around = around
        self._progress = progress
        self.edit: asyncio.Future[Made | None] | None = (
            asyncio.get_running_loop().create_future() if waits else None
        )
        """What came of it, for whoever waits; None where there is no edit."""

    @property
    def job(self) -> Job:
        """The errand's job."""
        return self.errand.job

    def owns_token(self, token: int | str) -> bool:
        """Whether its progress is shown under a token."""
        return self._progress.token == token

    def show(self, message: str) -> None:
        """Show what is being done."""
        self._progress.report(message)

    def find_current(self, snapshot: Snapshot) -> Current | None:
        """What became of a snapshot."""
        return self._around.documents.since(snapshot)

    def note_stop(self, reason: StopReason) -> None:
        """Take the progress away; whoever stopped it knows."""
        self._end(reason.value)

    def note_failure(self, error: BaseException) -> None:
        """Say what went wrong."""
        self._keep("")
        if isinstance(error, AssistantError):
            self._around.server.show_error(error)
        else:
            self._around.server.report_bug(error)
        self._end("failed")

    def accept(self, made: Made, *, is_last: bool) -> bool:
        """Take the outcome over, unless the document has moved on; the last one is brought up to date."""
        if isinstance(made.outcome, Edits) and not self._around.delivery.is_current(made.outcome):
            if not is_last:
                return False
            made = self.renew(made)
        self.job.finish()
        self._settle(made, sendings=1)
        return True

    def renew(self, made: Made) -> Made:
        """Work an edit out anew for the document as it is now."""
        assert made.plan is not None
        current = self.find_current(made.plan.view.snapshot)
        if current is None:
            outcome: Outcome = Refused(reason=f"The edit was not made: {StopReason.CLOSED}.")
        else:
            outcome = self._around.actions.finish(made.plan, made.reply, current, was_cut=made.was_cut)
        return replace(made, outcome=outcome)

    def build_current_edit(self, made: Made) -> types.WorkspaceEdit | None:
        """Build the edit that somebody waited for, as the document is now; None where there is none."""
        if isinstance(made.outcome, Edits) and not self._around.delivery.is_current(made.outcome):
            made = self.renew(made)
        match made.outcome:
            case Edits() as edits:
                return self._around.delivery.build_edit(edits, confirm=self._around.confirms())
            case Refused(reason=reason, code=code):
                self.refuse(reason, code)
            case Explanation():
                pass
        return None

    def refuse(self, reason: str, code: str) -> None:
        """Change nothing, keep the code, and say why."""
        self._keep(code)
        hint = " “Insert last result” in the menu inserts it anyway." if code else ""
        self._around.server.show(f"{reason}{hint}", types.MessageType.Warning)
        self._end("not inserted")

    def _settle(self, made: Made, *, sendings: int) -> None:
        match made.outcome:
            case Edits() as edits:
                self._deliver(made, edits, sendings=sendings)
            case Explanation() as explanation:
                self._keep("")
                self._around.spawn(self._reporting(self._explain(made, explanation)))
            case Refused(reason=reason, code=code):
                if made.was_cut:
                    reason += " The answer was cut off; `sampling.max_tokens` is its limit."
                self.refuse(reason, code)

    def _deliver(self, made: Made, edits: Edits, *, sendings: int) -> None:
        if not any(file.edits for file in edits.files):
            self._keep("")
            self._around.server.show(f"{edits.title}: there is nothing to change.")
            self._end("nothing to change")
        elif not self._around.delivery.can_send(edits):
            self.refuse("This editor cannot create files for a server.", edits.code)
        elif self.edit is not None and not self.edit.done():
            self._keep("")
            self._end("done", made)
        else:
            self._send(made, edits, sendings=sendings)

    def _send(self, made: Made, edits: Edits, *, sendings: int) -> None:
        delivery, server = self._around.delivery, self._around.server
        edit = delivery.build_edit(edits, confirm=self._around.confirms())
        expected = delivery.expect(edits)
        answer = server.send_edit(edits.title, edit)

        async def watch() -> None:
            refusal = await server.read_edit_answer(answer)
            if refusal is not None:
                delivery.forget(expected)
                self._send_again(made, edits, refusal, sendings=sendings)
            elif await delivery.wait_arrival(edits, expected) is Arrival.SEEN:
                self._note_arrival(edits)
            else:
                self.refuse("The editor says that it made the edit, but its text is another.", edits.code)

        self._around.spawn(self._reporting(watch()))

    def _send_again(self, made: Made, edits: Edits, refusal: str, *, sendings: int) -> None:
        if sendings < MAX_SENDINGS and made.plan is not None and not self._around.delivery.is_current(edits):
            self._settle(self.renew(made), sendings=sendings + 1)
        else:
            self.refuse(f"The editor did not make the edit: {refusal.rstrip('.')}.", edits.code)

    async def _reporting(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - a task's edge: no progress may go on for ever
            self.note_failure(error)

    def _note_arrival(self, edits: Edits) -> None:
        self._keep("")
        if edits.notes:
            self._around.server.show(" ".join(edits.notes))
        self._end("done")

    async def _explain(self, made: Made, explanation: Explanation) -> None:
        server = self._around.server
        self._end("done")  # an editor may ask its user before it answers
        if self._around.client.shows_documents and made.document is not None:
            uri = uris.from_fs_path(str(made.document))
            if uri is not None and await server.show_document(uri):
                return
        text = explanation.markdown
        server.show(text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…")

    def _keep(self, code: str) -> None:
        self._around.keep(Result(offer=self.errand.offer, view=self.errand.view, code=code))

    def _end(self, message: str, made: Made | None = None) -> None:
        self._progress.end(message)
        if self.edit is not None and not self.edit.done():
            self.edit.set_result(made)
