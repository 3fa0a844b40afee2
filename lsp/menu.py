"""The menu as the editor wants it: offers with a command or with data, and what is offered around a job.

Answered for every move of a cursor: no model, no disk, no question to the editor.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from lsprotocol import types

from lsp.actions.interface import ActionKind, Diagnostic, Offer, View
from lsp.clients import Client
from lsp.delivery import to_range
from lsp.positions import Lines, PositionEncoding

RUN, CANCEL, INSERT, AGAIN = (
    "assistant.run",
    "assistant.cancel",
    "assistant.insertLastResult",
    "assistant.tryAgain",
)
COMMANDS = (RUN, CANCEL, INSERT, AGAIN)
KINDS = tuple(types.CodeActionKind(kind.value) for kind in ActionKind)
MAX_MENUS = 8
"""So many menus are remembered, each with its text; what was chosen in an older one is worked out anew."""

Entry = types.CodeAction | types.Command
Choice = Mapping[str, Any]
"""What comes back when an entry is chosen: JSON that went through the editor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What can be done around jobs, here and now."""

    running: tuple[tuple[int, str], ...] = ()
    """Number and title of each job that can be cancelled."""
    has_result: bool = False
    """There is something to insert."""
    can_try_again: bool = False


class Menus:
    """Builds menus and remembers what they were built for.

    Args:
        client: What the editor can do.
        resolves: Edits are asked for with `codeAction/resolve`, not delivered by a command.
    """

    def __init__(self, client: Client, *, resolves: bool) -> None:
        self._client = client
        self._resolves = resolves
        self._numbers = itertools.count(1)
        self._views: OrderedDict[str, View] = OrderedDict()

    def build(
        self, view: View, offers: Sequence[Offer], controls: Controls, params: types.CodeActionParams
    ) -> list[Entry]:
        """Build the entries: what is offered, then what can be done around jobs."""
        number = str(next(self._numbers))
        self._views[number] = view
        if len(self._views) > MAX_MENUS:
            self._views.popitem(last=False)
        entries = [self._entry(offer, number, view, params) for offer in offers]
        if params.context.trigger_kind is types.CodeActionTriggerKind.Automatic:
            controls = Controls(running=controls.running)
        only = read_kinds(params.context)
        if only and ActionKind.QUICK_FIX not in only:
            return entries
        return entries + self._controls(view.snapshot.uri, controls, params.range)

    def find_view(self, choice: Choice) -> View | None:
        """What a chosen entry's menu was built for, if it is remembered."""
        return self._views.get(str(choice.get("menu")))

    def views(self) -> Collection[View]:
        """What the remembered menus were built for, oldest first."""
        return self._views.values()

    def _entry(self, offer: Offer, number: str, view: View, params: types.CodeActionParams) -> Entry:
        origin = offer.diagnostic.origin if offer.diagnostic is not None else None
        diagnostics = [origin] if isinstance(origin, types.Diagnostic) else None
        choice = {
            "menu": number,
            "uri": view.snapshot.uri,
            "version": view.snapshot.version,
            "range": _plain_range(params.range),
            "key": offer.key,
        }
        command = types.Command(title=offer.title, command=RUN, arguments=[choice])
        if not self._client.has_literals:
            return command
        return types.CodeAction(
            title=offer.title,
            kind=types.CodeActionKind(offer.kind.value),
            diagnostics=diagnostics,
            command=None if self._resolves else command,
            data=choice if self._resolves else None,
            tags=[types.CodeActionTag.LlmGenerated] if self._client.knows_model_tag else None,
        )

    def _controls(self, uri: str, controls: Controls, place: types.Range) -> list[Entry]:
        several = len(controls.running) > 1
        entries = [
            self._control(f"Cancel generation: {title}" if several else "Cancel generation", CANCEL, [number])
            for number, title in controls.running
        ]
        where = {"uri": uri, "range": _plain_range(place)}
        if controls.has_result:
            entries.append(self._control("Insert last result", INSERT, [where]))
        if controls.can_try_again:
            entries.append(self._control("Try again", AGAIN, [where]))
        return entries

    def _control(self, title: str, command: str, arguments: list[Any]) -> Entry:
        chosen = types.Command(title=title, command=command, arguments=arguments)
        if not self._client.has_literals:
            return chosen
        return types.CodeAction(title=title, kind=types.CodeActionKind.QuickFix, command=chosen)


def read_kinds(context: types.CodeActionContext) -> list[str]:
    """The kinds that an editor asks for; none where it wants all."""
    return [kind.value if isinstance(kind, Enum) else kind for kind in context.only or ()]


def read_diagnostics(
    diagnostics: Sequence[types.Diagnostic], lines: Lines, encoding: PositionEncoding
) -> tuple[Diagnostic, ...]:
    """Take diagnostics from the protocol."""
    return tuple(
        Diagnostic(
            span=lines.span_at(to_range(each.range), encoding),
            message=each.message,
            source=each.source or "",
            code="" if each.code is None else str(each.code),
            origin=each,
        )
        for each in diagnostics
    )


def read_choice(value: object) -> Choice | None:
    """A choice as it came back from the editor; None where it is none."""
    return cast("Choice", value) if isinstance(value, dict) else None


def read_place(choice: Choice) -> types.Range | None:
    """The range in a choice; None where what came back is not what was sent."""
    try:
        start, end = (cast("Mapping[str, int]", choice["range"][side]) for side in ("start", "end"))
        return types.Range(
            start=types.Position(line=int(start["line"]), character=int(start["character"])),
            end=types.Position(line=int(end["line"]), character=int(end["character"])),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _plain_range(place: types.Range) -> dict[str, dict[str, int]]:
    return {
        "start": {"line": place.start.line, "character": place.start.character},
        "end": {"line": place.end.line, "character": place.end.character},
    }
