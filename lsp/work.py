"""The jobs of one editor: started by a choice from the menu, one for each place, stopped by many roads.

Event loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from lsprotocol import types

from lsp.actions.interface import Edits, Offer, View
from lsp.actions.registry import ActionSet
from lsp.asking import Asker, Errand
from lsp.assignment import Assignment, Surroundings
from lsp.backend import Backend
from lsp.clients import Client
from lsp.delivery import Arrival, Delivery, Watched
from lsp.documents import Documents
from lsp.editor import EditorServer
from lsp.explanations import Explanations
from lsp.jobs import Job, Jobs, StopReason
from lsp.menu import Controls
from lsp.moving import find_moved, follow_loosely
from lsp.positions import Span
from lsp.progress import JobProgress, ProgressToken
from lsp.results import Result, build_insertion
from lsp.settings import LspSettings


class Work:
    """All jobs, and the last result of each document.

    Args:
        server: Speaks to the editor.
        client: What the editor can do.
        documents: What it has open.
        actions: What can be done.
        backend: Who answers.
        settings: The settings as they are now.
    """

    def __init__(
        self,
        server: EditorServer,
        client: Client,
        documents: Documents,
        actions: ActionSet,
        backend: Backend,
        settings: Callable[[], LspSettings],
    ) -> None:
        self._server = server
        self._documents = documents
        self._actions = actions
        self._settings = settings
        self._jobs = Jobs(asyncio.get_running_loop())
        self._tasks: set[asyncio.Task[None]] = set()
        self._results: dict[str, Result] = {}
        self._assignments: list[Assignment] = []
        self._explanations = Explanations()
        self._asker = Asker(
            jobs=self._jobs, actions=actions, backend=backend, explanations=self._explanations
        )
        self.delivery = Delivery(documents, client)
        self._around = Surroundings(
            server=server,
            client=client,
            documents=documents,
            delivery=self.delivery,
            actions=actions,
            keep=self._keep,
            spawn=self._spawn,
            confirms=lambda: settings().confirm_edits,
        )

    def start(
        self,
        view: View,
        offer: Offer,
        *,
        request_id: int | str | None = None,
        token: ProgressToken | None = None,
        is_varied: bool = False,
        waits: bool = False,
    ) -> Assignment:
        """Start a job; an older one for the same place gives way to it."""
        job = Job(title=offer.title, uri=view.snapshot.uri, request_id=request_id)
        self._supersede(view, offer.target)
        errand = Errand(
            job=job,
            offer=offer,
            view=view,
            max_tokens=self._settings().max_tokens,
            is_varied=is_varied,
        )
        progress = JobProgress(self._server, offer.title, token)
        assignment = Assignment(errand, self._around, progress, waits=waits)
        self._assignments = [each for each in self._assignments if not each.job.is_over]
        self._assignments.append(assignment)
        progress.report("waiting")
        self._jobs.start(job, lambda: self._asker.run(errand, assignment))
        return assignment

    def cancel(self, number: int | None = None) -> int:
        """Stop a job, or all of them, and return how many there were."""
        return self._stop(lambda job: number is None or job.number == number, StopReason.ASKED)

    def cancel_request(self, request_id: int | str) -> None:
        """Stop the job that a request asked for, if there is one."""
        self._stop(lambda job: job.request_id == request_id, StopReason.ASKED)

    def cancel_progress(self, token: ProgressToken) -> None:
        """Stop the job whose progress is shown under a token."""
        owners = [each.job for each in self._assignments if each.owns_token(token)]
        self._stop(lambda job: job in owners, StopReason.ASKED)

    def note_close(self, uri: str) -> None:
        """Stop the jobs of a document that was closed, and forget its result."""
        self._stop(lambda job: job.uri == uri, StopReason.CLOSED)
        self._results.pop(uri, None)

    def close(self) -> None:
        """Stop everything."""
        self._stop(lambda _: True, StopReason.SHUTDOWN)
        self._explanations.close()

    def controls(self, view: View) -> Controls:
        """What can be done around jobs at a place."""
        result = self._results.get(view.snapshot.uri)
        return Controls(
            running=tuple((job.number, job.title) for job in self._jobs.active),
            has_result=result is not None and bool(result.code),
            can_try_again=result is not None and self._can_try_again(result, view),
        )

    def insert_last_result(self, view: View) -> bool:
        """Put the last result of a document where the user stands. False where there is none."""
        result = self._results.get(view.snapshot.uri)
        if result is None or not result.code:
            return False
        edits = build_insertion(view, result.code)
        expected = self.delivery.expect(edits)
        answer = self._server.send_edit(edits.title, self.delivery.build_edit(edits, confirm=False))
        self._spawn(self._watch_insertion(answer, edits, expected, result))
        return True

    def try_again(self, view: View) -> bool:
        """Do again what was done last, for another answer. False where it does not fit any more."""
        result = self._results.get(view.snapshot.uri)
        target = self._find_target(result) if result is not None else None
        if result is None or target is None:
            return False
        shift = target.start - result.offer.target.start
        renewed = self._documents.build_view(
            view.snapshot.uri,
            _shifted(result.view.selection, shift),
            [replace(each, span=_shifted(each.span, shift)) for each in result.view.diagnostics],
        )
        offer = self._actions.find_offer(renewed, result.offer.key) if renewed is not None else None
        if renewed is None or offer is None:
            return False
        self.start(renewed, offer, is_varied=True)
        return True

    def _can_try_again(self, result: Result, view: View) -> bool:
        target = self._find_target(result)
        return target is not None and view.lines.whole_lines(target).meets(view.selection)

    def _stop(self, wanted: Callable[[Job], bool], reason: StopReason) -> int:
        return self._jobs.stop(wanted, reason)

    def _supersede(self, view: View, target: Span) -> None:
        """Stop the older jobs whose targets overlap a new one, wherever typing has moved them to."""
        place = self._follow(view, target)
        rivals = [
            each.job
            for each in self._assignments
            if each.job.uri == view.snapshot.uri
            and _overlap(place, self._follow(each.errand.view, each.errand.offer.target))
        ]
        self._stop(lambda job: job in rivals, StopReason.SUPERSEDED)

    def _follow(self, view: View, span: Span) -> Span:
        current = self._documents.since(view.snapshot)
        return follow_loosely(span, current.changes or ()) if current is not None else span

    def _find_target(self, result: Result) -> Span | None:
        """Where what a result was made for is now; None where it has changed."""
        current = self._documents.since(result.view.snapshot)
        return find_moved(result.offer.target, result.view.snapshot, current) if current is not None else None

    def _keep(self, result: Result) -> None:
        self._results[result.view.snapshot.uri] = result

    async def _watch_insertion(
        self, answer: asyncio.Future[Any], edits: Edits, watched: Watched, result: Result
    ) -> None:
        refusal = await self._server.read_edit_answer(answer)
        if refusal is None and await self.delivery.wait_arrival(edits, watched) is Arrival.SEEN:
            self._keep(replace(result, code=""))
            return
        self.delivery.forget(watched)
        reason = refusal or "its text has not changed"
        self._server.show(f"The editor did not insert the result: {reason}.", types.MessageType.Warning)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note_end)

    def _note_end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._server.report_bug(task.exception())


def _shifted(span: Span, shift: int) -> Span:
    return Span(start=span.start + shift, end=span.end + shift)


def _overlap(one: Span, other: Span) -> bool:
    return one == other or (one.start < other.end and other.start < one.end)
