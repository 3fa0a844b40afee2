# pyright: basic
"""One side of the talk between code and its tests: asks, answers, and keeps what the other may mean.

Runs inside both sandboxes. The two take turns: whoever has asked waits, and meanwhile answers.
"""

from __future__ import annotations

import _thread

from assistant.judging.crossing import Classes, describe_class, text_of
from assistant.judging.decoding import Decoder
from assistant.judging.handles import CallableHandle, CoroutineHandle, Handle
from assistant.judging.values import Encoder
from assistant.judging.wire import (
    GONE,
    TALK,
    Gone,
    ProtocolError,
    parse_json,
    read_frame,
    render_json,
    write_frame,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_OBJECTS = 100_000


class Peer:
    """What both sides do alike."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._exports: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._handles: dict[int, Handle] = {}
        self._classes = Classes()
        self._lock = _thread.RLock()
        self.raised: BaseException | None = None
        """The last exception that came from the other side."""

    # What is asked of the other side.

    def ask(self, op: str, *parts: Any) -> Any:
        """Have the other side do something; return or raise what came of it."""
        with self._lock:
            encoder = Encoder(self.export)
            written = [encoder.encode(part) for part in parts]
            sent = list(encoder.objects)
            self.send(["q", op, written, encoder.table])
            while (message := self.receive())[0] == "q":
                self.answer(message)
            return self._take_reply(op, message, sent)

    def operate(self, name: str, left: Any, right: Any) -> Any:
        """Have the other side combine two values."""
        return self.ask("op", name, left, right)

    def equals(self, left: Handle, right: object) -> bool:
        """Whether both are one object, or objects of one class that say that they are equal."""
        if left is right:
            return True
        if not isinstance(right, Handle) or left._h_class != right._h_class:
            return False
        return self.ask("eq", left, right) is True

    def _take_reply(self, op: str, message: Any, sent: list[Any]) -> Any:
        try:
            tag, body, table, printed = message
            if type(printed) is not str or len(table) < len(sent) or tag not in ("a", "e"):
                raise ValueError
            self.take_printed(printed)
            decoder = Decoder(self.read_object, table, sent)
            if tag == "a":
                return decoder.decode(body)
            described, args, text, origin = body
            args, origin = decoder.decode(args), decoder.decode(origin)
        except (TypeError, ValueError) as error:
            raise ProtocolError("no reply") from error
        self.take_failure(op, described)
        error = self._classes.revive(described, args, str(text), origin)
        self.raised = error
        raise error

    def take_printed(self, text: str) -> None:
        """Meet what the other side has printed meanwhile."""

    def take_failure(self, op: str, described: Any) -> None:
        """Meet an exception of the other side before it is raised here."""

    # What the other side asks.

    def answer(self, message: Any) -> None:
        """Do what is asked, and reply."""
        try:
            _, op, written, table = message
            decoder = Decoder(self.read_object, table)
            parts = [decoder.decode(part) for part in written]
        except (TypeError, ValueError) as error:
            raise ProtocolError("no request") from error
        objects = decoder.objects
        before = self._table_of(objects) if objects else []
        try:
            value = self.perform(op, parts)
        except (Gone, ProtocolError):
            raise
        except BaseException as error:  # noqa: BLE001 - this is the edge: all of it crosses
            self.send(self._failure(error, objects, before))
            return
        try:
            self.send(self._reply(value, objects, before))
        except (ValueError, RecursionError, ProtocolError) as error:
            self.send(self._failure(ValueError(f"the result cannot be sent: {error}"), objects, before))

    def perform(self, op: str, parts: list[Any]) -> Any:
        """Do what the other side asks, as far as it may ask."""
        raise NotImplementedError

    def take_own_printed(self) -> str:
        """Return what this side has printed since."""
        return ""

    def _table_of(self, objects: list[Any]) -> list[Any]:
        encoder = Encoder(self.export, objects)
        encoder.fill_known()
        return encoder.table

    def _reply(self, value: Any, objects: list[Any], before: list[Any]) -> list[Any]:
        encoder = self._encoder(objects)
        body = encoder.encode(value)
        return ["a", body, _changes(encoder.table, before), self.take_own_printed()]

    def _failure(self, error: BaseException, objects: list[Any], before: list[Any]) -> list[Any]:
        try:
            encoder = self._encoder(objects)
        except (ValueError, RecursionError):
            encoder = Encoder(self.export, objects)
        described = describe_class(type(error), self.number_of)
        try:
            args = encoder.encode(error.args)
        except (ValueError, TypeError):
            args = None
        origin = ["h", self.number_of(error), "o", 0, ""] if described[0] else None
        table = _changes(encoder.table, before)
        return ["e", [described, args, text_of(error), origin], table, self.take_own_printed()]

    def _encoder(self, objects: list[Any]) -> Encoder:
        encoder = Encoder(self.export, objects)
        encoder.fill_known()
        return encoder

    # What crosses as itself.

    def number_of(self, value: Any) -> int:
        """Return the number by which the other side means an object of this one."""
        number = self._numbers.get(id(value))
        if number is None:
            if len(self._exports) >= MAX_OBJECTS:
                raise ValueError(f"more than {MAX_OBJECTS} objects in use")
            number = self._numbers[id(value)] = len(self._exports)
            self._exports.append(value)
        return number

    def export(self, value: Any) -> list[Any]:
        """Write an object that is no plain value."""
        if isinstance(value, Handle):
            return ["H", value._h_number]
        kind = type(value)
        if isinstance(value, type) and issubclass(value, BaseException):
            return ["X", *describe_class(value, self.number_of)]
        form = (
            "w" if hasattr(kind, "__await__") and hasattr(kind, "send") else "f" if callable(value) else "o"
        )
        name = getattr(value, "__name__", None) if form == "f" else None
        if type(name) is not str:
            name = kind.__name__
        return ["h", self.number_of(value), form, self.number_of(kind), name[:100]]

    def read_object(self, part: list[Any]) -> Any:
        """Return what stands here for what is no plain value."""
        match part:
            case ["H", int(number)] if 0 <= number < len(self._exports):
                return self._exports[number]
            case ["X", list(), str()]:
                return self._classes.build(part[1:])
            case ["h", int(number), "f" | "o" | "w" as form, int(owner), str(name)]:
                kind = {"f": CallableHandle, "w": CoroutineHandle, "o": Handle}[form]
                if len(self._handles) >= 2 * MAX_OBJECTS:
                    raise ProtocolError("too many objects")
                known = self._handles.get(number)  # asked for its truth, it would ask the other side
                return (
                    self._handles.setdefault(number, kind(self, number, owner, name))
                    if known is None
                    else known
                )
            case _:
                return self.resolve(part)

    def resolve(self, part: list[Any]) -> Any:
        """Read what only one of the sides understands."""
        raise ProtocolError("no value")

    # Messages.

    def send(self, message: list[Any]) -> None:
        """Send one message."""
        write_frame(self._channel, TALK, render_json(message))

    def receive(self) -> Any:
        """Wait for one message."""
        kind, body = read_frame(self._channel)
        if kind == GONE:
            raise Gone(body.decode("utf-8", "replace"))
        message = parse_json(body)
        if kind != TALK or type(message) is not list or not message:
            raise ProtocolError("no message")
        return message


def _changes(after: list[Any], before: list[Any]) -> list[Any]:
    """Leave out of a table what is as it was."""
    kept = [
        None if render_json(new) == render_json(old) else new for new, old in zip(after, before, strict=False)
    ]
    return kept + after[len(before) :]
