# pyright: basic
"""JSON back to plain values. Trusts nothing of what it reads. Runs inside both sandboxes."""

from __future__ import annotations

from assistant.judging.values import TYPES, is_field
from assistant.judging.wire import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

EMPTY: dict[str, Callable[[], Any]] = {"l": list, "d": dict, "S": set, "B": bytearray}
MALFORMED = (
    TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip
"""What comes of reading what is not as it must be."""
CONTAINERS = ("", "Counter", "OrderedDict", "defaultdict")


class Decoder:
    """Reads one message's values."""

    def __init__(
        self, resolve: Callable[[list[Any]], Any], table: Any, known: list[Any] | None = None
    ) -> None:
        """Read the table.

        Args:
            resolve: Gives what stands for an object of the other side.
            table: What can change; a None stands for an object that did not.
            known: Objects of this side that the first entries of the table mean.

        Raises:
            ProtocolError: It is no table.
        """
        self._resolve = resolve
        self.objects: list[Any] = list(known or ())
        try:
            for entry in table[len(self.objects) :]:
                self.objects.append(_empty(entry))
            for target, entry in zip(self.objects, table, strict=True):
                if entry is not None:
                    self._fill(target, entry)
        except MALFORMED as error:
            raise ProtocolError("no table of values") from error

    def decode(self, part: Any) -> Any:
        """Return a value.

        Raises:
            ProtocolError: It is none.
        """
        try:
            return self._decode(part)
        except MALFORMED as error:
            raise ProtocolError("no value") from error

    def _fill(self, target: Any, entry: Any) -> None:
        tag = entry[0]
        if tag == "l" and type(target) is list:
            target[:] = map(self._decode, entry[1:])
        elif tag == "d" and isinstance(target, dict):
            parts = list(map(self._decode, entry[2:]))
            target.clear()
            for key, value in zip(parts[::2], parts[1::2], strict=True):
                target[key] = value
        elif tag == "S" and type(target) is set:
            items = list(map(self._decode, entry[1:]))
            target.clear()
            target.update(items)
        elif tag == "B" and type(target) is bytearray:
            target[:] = bytes.fromhex(entry[1])
        elif tag == "q" and hasattr(target, "appendleft"):
            items = list(map(self._decode, entry[2:]))
            target.clear()
            target.extend(items)
        else:
            raise ValueError("another type than it had")

    def _decode(self, part: Any) -> Any:
        if type(part) is not list:
            return part
        tag, rest = part[0], part[1:]
        match tag:
            case "r":
                if type(rest[0]) is not int or rest[0] < 0:
                    raise ValueError("no reference")
                return self.objects[rest[0]]
            case "t":
                return tuple(map(self._decode, rest))
            case "F":
                return frozenset(map(self._decode, rest))
            case "I":
                return int(rest[0], 16)
            case "f":
                return float(rest[0])
            case "s":
                return "".join(map(chr, rest))
            case "b":
                return bytes.fromhex(rest[0])
            case "c":
                return complex(*map(self._decode, rest))
            case _:
                return self._decode_rest(tag, rest)

    def _decode_rest(self, tag: Any, rest: list[Any]) -> Any:
        match tag:
            case "R":
                return range(*map(self._decode, rest))
            case "sl":
                return slice(*map(self._decode, rest))
            case "T":
                return {"Ellipsis": Ellipsis, "NotImplemented": NotImplemented, **TYPES}[rest[0]]
            case "v":
                return _build_view(rest[0], list(map(self._decode, rest[1:])))
            case "N":
                return _build_named(rest[0], rest[1], list(map(self._decode, rest[2:])))
            case "D" | "Q" | "dt":
                return _build_number(tag, list(map(self._decode, rest)))
            case _:
                return self._resolve([tag, *rest])


def _empty(entry: Any) -> Any:
    if entry[0] == "q" or (entry[0] == "d" and entry[1]):
        import collections

        if entry[0] == "q":
            return collections.deque(maxlen=entry[1])
        if entry[1] not in CONTAINERS:
            raise ValueError("no container")
        return getattr(collections, entry[1])()
    return EMPTY[entry[0]]()


def _build_view(name: str, items: list[Any]) -> Any:
    if name == "keys":
        return dict.fromkeys(items).keys()
    if name == "items":
        return dict(items).items()
    return dict(enumerate(items)).values()


def _build_named(name: Any, fields: Any, items: list[Any]) -> Any:
    from collections import namedtuple

    if type(name) is not str or not all(map(is_field, fields)):
        raise ValueError("no names")
    made: Any = namedtuple(name, fields)  # it checks that these are names
    return made(*items)


def _build_number(tag: str, parts: list[Any]) -> Any:
    if tag == "D":
        import decimal

        return decimal.Decimal(parts[0])
    if tag == "Q":
        import fractions

        return fractions.Fraction(parts[0], parts[1])
    import datetime

    if parts[0] not in ("datetime", "date", "time", "timedelta"):
        raise ValueError("no time")
    return getattr(datetime, parts[0])(*parts[1:])
