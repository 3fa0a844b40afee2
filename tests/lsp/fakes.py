"""Actions and a generator for tests of the protocol: small enough to know what must come out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from assistant.errors import AssistantError
from assistant.generator import EventStream, ScriptedGenerator
from assistant.requests import Done, Event, Loading, Request, Sampling, Started, Token, build_task_request
from lsp.actions.interface import (
    ActionKind,
    CountTokens,
    Edits,
    Explanation,
    FileEdit,
    Offer,
    Outcome,
    Plan,
    Refused,
    View,
)
from lsp.actions.registry import ActionSet
from lsp.backend import Desk, Run
from lsp.edits import TextEdit
from lsp.mirror import Current
from lsp.moving import find_moved


@dataclass
class LineAction:
    """Replaces the lines of the selection by the reply. `BAD` is refused and asked for once more."""

    name: str = "rewrite"
    title: str = "Rewrite"
    kind: ActionKind = ActionKind.REWRITE
    marker: str = ""
    """Offered where this stands on the lines; the empty text is everywhere."""
    creates: Path | None = None
    """Creates this file as well."""
    plans: list[Plan] = field(default_factory=list)

    def offer(self, view: View) -> list[Offer]:
        target = view.lines.whole_lines(view.selection)
        if self.marker not in target.cut(view.text) or target.is_empty:
            return []
        return [Offer(action=self.name, title=self.title, kind=self.kind, target=target)]

    def prepare(
        self, offer: Offer, view: View, tokens_budget: int, count_tokens: CountTokens
    ) -> Plan | Refused:
        code = offer.target.cut(view.text)
        if count_tokens(code) > tokens_budget:
            return Refused(reason=f"{count_tokens(code)} tokens are more than {tokens_budget}.")
        request = build_task_request(f"{self.name} this", code)
        plan = Plan(offer=offer, view=view, target=offer.target, request=request)
        self.plans.append(plan)
        return plan

    def finish(self, plan: Plan, reply: str, current: Current) -> Outcome:
        if self.name == "explain":
            return Explanation(title="Explain it", markdown=reply)
        if "BAD" in reply:
            again = replace(plan, request=build_task_request("once more"), attempt=2)
            return Refused(reason="That is no code.", code=reply, retry=again if plan.attempt == 1 else None)
        snapshot = current.snapshot
        span = find_moved(plan.target, plan.view.snapshot, current)
        if span is None:
            return Refused(reason="The text has changed.", code=reply)
        edit = TextEdit(span=span, text=reply)
        changed = FileEdit(uri=snapshot.uri, version=snapshot.version, lines=snapshot.lines, edits=(edit,))
        files = (changed, *self._created(plan))
        return Edits(title=self.title, files=files, snapshot=snapshot, code=reply, notes=())

    def _created(self, plan: Plan) -> tuple[FileEdit, ...]:
        if self.creates is None or plan.view.workspace is None:
            return ()
        state = plan.view.workspace.read_file(self.creates)
        assert state.lines is None
        from lsp.positions import Lines, Span

        edit = TextEdit(span=Span(start=0, end=0), text="new\n")
        return (FileEdit(uri=state.uri, version=None, lines=Lines(""), edits=(edit,), creates=True),)


class FakeBackend:
    """Answers with what it is told to. Every character is a token.

    Args:
        generator: Who answers.
        context_tokens: Prompt and answer together.
    """

    def __init__(self, generator: ScriptedGenerator | GatedGenerator, context_tokens: int = 4096) -> None:
        self.generator = generator
        self.error: AssistantError | Exception | None = None
        """Raised instead of opening, while it is set."""
        self._context_tokens = context_tokens

    def open(self, path: Path | None, run: Run) -> Desk:
        if self.error is not None:
            raise self.error
        return Desk(
            generator=self.generator,
            sampling=Sampling(max_tokens=256),
            context_tokens=self._context_tokens,
            count_tokens=len,
        )


class GatedGenerator:
    """Gives one token each time that it is let to, and counts what was taken from it.

    Args:
        pieces: The reply to every request.
    """

    def __init__(self, pieces: Iterable[str], *, loading: tuple[Loading, ...] = ()) -> None:
        self.pieces = list(pieces)
        self.loading = loading
        self.last: Done | None = None
        """The last event of every reply."""
        self.requests: list[Request] = []
        self.streams: list[GatedStream] = []
        self._changed = threading.Condition()

    def stream(self, request: Request) -> EventStream:
        with self._changed:
            self.requests.append(request)
            stream = GatedStream(self)
            self.streams.append(stream)
            self._changed.notify_all()
        return stream

    def allow(self, steps: int = 1_000_000, *, stream: int = -1) -> None:
        """Let a stream go on for some steps."""
        with self._changed:
            self.streams[stream].allowed += steps
            self._changed.notify_all()

    def wait(self, condition: Callable[[], bool], *, deadline_s: float = 20.0) -> None:
        """Wait until something is so of the streams."""
        with self._changed:
            assert self._changed.wait_for(condition, deadline_s)

    def wait_streams(self, count: int) -> None:
        self.wait(lambda: len(self.streams) >= count)

    def take_step(self, stream: GatedStream) -> bool:
        """Wait until a stream may go on; False where it was closed."""
        with self._changed:
            self._changed.wait_for(lambda: stream.is_closed or stream.allowed > stream.steps)
            if stream.is_closed:
                return False
            stream.steps += 1
            self._changed.notify_all()
            return True

    def close(self, stream: GatedStream) -> None:
        with self._changed:
            stream.is_closed = True
            self._changed.notify_all()


class GatedStream:
    """One request's events."""

    def __init__(self, owner: GatedGenerator) -> None:
        self.allowed = 0
        self.steps = 0
        self.is_closed = False
        self.has_ended = False
        self._owner = owner
        self._pieces = tuple(owner.pieces)
        """As they are when it is asked for, whatever the next request gets."""
        self._events = self._produce()

    def __iter__(self) -> GatedStream:
        return self

    def __next__(self) -> Event:
        event = next(self._events, None)
        if event is None:
            self.has_ended = True
            raise StopIteration
        if isinstance(event, Token) and not self._owner.take_step(self):
            raise StopIteration
        return event

    def close(self) -> None:
        self._owner.close(self)

    def _produce(self) -> Iterator[Event]:
        yield from self._owner.loading
        yield Started(request_id="gated", model="gated")
        for piece in self._pieces:
            yield Token(text=piece)
        if self._owner.last is not None:
            yield self._owner.last


def build_actions() -> ActionSet:
    """One of each kind."""
    return ActionSet(
        [
            LineAction(),
            LineAction(name="fix", title="Fix it", kind=ActionKind.QUICK_FIX, marker="wrong"),
            LineAction(name="explain", title="Explain", kind=ActionKind.REFACTOR),
        ]
    )
