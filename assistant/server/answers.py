"""One request from its order to its answer: a model is leased, a job runs, its reports go out.

Streamed or not, it is one path: a client that goes away ends the job in either case.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from dataclasses import dataclass, replace

from starlette.types import Receive, Scope, Send

from assistant.engine.interface import Ended, Job, LoadedModel, Report
from assistant.errors import AssistantError
from assistant.requests import Sampling
from assistant.server.bodies import Order
from assistant.server.channel import Channel
from assistant.server.host import ModelHost
from assistant.server.ledger import Ledger
from assistant.server.refusals import RefusedError, invalid_request, refusal_of, send_json
from assistant.server.rendering import PING, Renderer, build_tally
from assistant.server.seats import Lease
from assistant.server.threads import call_in_thread

PING_S = 10.0
"""A stream is never silent for longer."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Desk:
    """What all requests of a server share."""

    host: ModelHost
    ledger: Ledger
    encoding: threading.Lock
    """Held while a prompt is tokenized: tokenizers promise nothing about threads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    job: Job
    channel: Channel
    renderer: Renderer


class Answer:
    """The answer to one order, as an ASGI application."""

    def __init__(self, order: Order, desk: Desk) -> None:
        self._order = order
        self._desk = desk
        self._id = f"{'chatcmpl' if order.is_chat else 'cmpl'}-{secrets.token_hex(12)}"
        self._accepted_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, until the end or until the client has gone."""
        loop = asyncio.get_running_loop()
        work = loop.create_task(self._answer(send))
        gone = loop.create_task(_wait_until_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            gone.cancel()
            await asyncio.wait({work, gone})
        if not work.cancelled():
            work.result()

    async def _answer(self, send: Send) -> None:
        lease = await self._desk.host.lease(self._order.model)
        try:
            ids = await call_in_thread(self._encode, lease.model)
            run = self._submit(ids, lease)
        except AssistantError as error:
            lease.release()
            raise refusal_of(error) from error
        except BaseException:
            lease.release()
            raise
        try:
            if self._order.is_streamed:
                await self._stream(send, run)
            else:
                await self._send_whole(send, run)
        finally:
            run.job.cancelled.set()

    def _encode(self, model: LoadedModel) -> list[int]:
        with self._desk.encoding:
            if self._order.is_chat:
                return model.encode_turns(self._order.turns)
            return model.encode_text(self._order.prompt)

    def _submit(self, ids: list[int], lease: Lease) -> _Run:
        """Start the job. From here on the lease is held until the engine is done, whoever reads."""
        sampling = _fit(self._order.sampling, len(ids), lease.model)
        tally = build_tally(self._order, prompt_tokens=len(ids), accepted_at=self._accepted_at)
        ledger, reader = self._desk.ledger, asyncio.current_task()

        def note(report: Report) -> None:
            tally.take(report)
            if isinstance(report, Ended):
                lease.release()
                ledger.leave(self._id, tally)

        def give_up() -> None:
            _log.info("%s: its reader does not read", self._id)
            if reader is not None:
                reader.cancel()

        channel = Channel(on_report=note, on_stuck=give_up)
        job = Job(ids=ids, sampling=sampling, sink=channel.put)
        lease.model.submit(job)
        ledger.enter(self._id, job)
        renderer = Renderer(order=self._order, id=self._id, model=lease.model.name, tally=tally)
        return _Run(job=job, channel=channel, renderer=renderer)

    async def _send_whole(self, send: Send, run: _Run) -> None:
        while not isinstance(last := (await run.channel.get())[-1], Ended):
            pass
        if last.error is not None:
            raise refusal_of(last.error) from last.error
        await send_json(send, 200, run.renderer.whole(), headers=[("x-request-id", self._id)])

    async def _stream(self, send: Send, run: _Run) -> None:
        headers = [
            (b"content-type", b"text/event-stream"),
            (b"cache-control", b"no-store"),
            (b"x-request-id", self._id.encode("ascii")),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _send_part(send, run.renderer.opening())
        while True:
            try:
                async with asyncio.timeout(PING_S):
                    reports = await run.channel.get()
            except TimeoutError:
                await _send_part(send, PING)
                continue
            part = b"".join([run.renderer.chunk(report) for report in reports])
            if isinstance(reports[-1], Ended):
                await send({"type": "http.response.body", "body": part, "more_body": False})
                return
            await _send_part(send, part)


def _fit(sampling: Sampling, prompt_tokens: int, model: LoadedModel) -> Sampling:
    if not prompt_tokens:
        raise invalid_request("the prompt is empty")
    room = model.context_tokens - prompt_tokens
    if room < 1:
        raise RefusedError(
            400,
            "context_length_exceeded",
            f"the prompt has {prompt_tokens} tokens; the context of {model.context_tokens} must hold it"
            " and at least one more",
            fields={"prompt_tokens": prompt_tokens, "context_tokens": model.context_tokens},
        )
    return replace(sampling, max_tokens=min(sampling.max_tokens, room))


async def _send_part(send: Send, part: bytes) -> None:
    if part:
        await send({"type": "http.response.body", "body": part, "more_body": True})


async def count_tokens(desk: Desk, model_name: str, text: str) -> tuple[int, int]:
    """Count a text's tokens; the model is loaded if it is not.

    Args:
        desk: What all requests share.
        model_name: Empty for the active model.
        text: Not a conversation: no prompt format is put around it.

    Returns:
        The count, and how many tokens prompt and answer may have together.

    Raises:
        RefusedError: There is no such model, or it is still loading.
    """
    lease = await desk.host.lease(model_name)

    def count() -> int:
        with desk.encoding:
            return len(lease.model.encode_text(text))

    try:
        return await call_in_thread(count), lease.model.context_tokens
    finally:
        lease.release()


async def _wait_until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
