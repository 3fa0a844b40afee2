# pyright: basic
"""Plain values as JSON and back, exact to the type. Runs inside both sandboxes; knows no processes.

A value is written as `[value, table]`. Everything that can change (lists, dicts, sets, bytearrays) stands in
the table, so that what is one object on one side is one object on the other, and cycles end. What is no
plain value is given to `export`, and to `resolve` on the other side.

A subclass is written as its base: nothing that it overrides is called.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_DEPTH = 200
MAX_PARTS = 500_000
BASES = (bool, int, float, str, bytes, complex, tuple, list, dict, set, frozenset, bytearray)
TYPES = {kind.__name__: kind for kind in (*BASES, object, type, range, slice, type(None))}
EXACT_INTEGERS = 1 << 53
VIEWS = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}
_mro_of = type.__dict__["__mro__"].__get__


def base_of(value: object) -> Any:
    """Return the builtin type that a value is of, or is made from; None for any other."""
    kind = type(value)
    if kind in BASES:
        return kind
    return next((base for base in _mro_of(kind) if base in BASES), None)


def is_field(name: Any) -> bool:
    """Whether a named tuple may have this field; one named `count` would stand in the place of the method."""
    return type(name) is str and not hasattr(tuple, name)


def find_library_type(kind: type, module: str, name: str) -> bool:
    """Whether a type is this one of the standard library. It is not imported for that."""
    loaded = sys.modules.get(module)
    return loaded is not None and getattr(loaded, name, None) is kind


class Encoder:
    """Writes one message's values."""

    def __init__(self, export: Callable[[Any], list[Any]], known: list[Any] | None = None) -> None:
        self._export = export
        self.objects: list[Any] = list(known or ())
        """What stands in the table, in order."""
        self._numbers = {id(value): number for number, value in enumerate(self.objects)}
        self.table: list[Any] = [None] * len(self.objects)
        self._parts = MAX_PARTS
        self._depth = 0

    def fill_known(self) -> None:
        """Write what the known objects hold now."""
        for number, value in enumerate(self.objects[:]):
            self.table[number] = self._content(value, base_of(value))

    def encode(self, value: Any) -> Any:
        """Return what JSON can hold of a value.

        Raises:
            ValueError: It is nested too deeply, or too large.
        """
        self._parts -= 1
        if self._parts < 0 or self._depth > MAX_DEPTH:
            raise ValueError("the value is too large, or nested too deeply")
        if value is None or value is True or value is False:
            return value
        base = base_of(value)
        if base is str:
            return _encode_text(str.__str__(value))
        if base is int:
            number = int.__add__(value, 0)
            return number if -EXACT_INTEGERS < number < EXACT_INTEGERS else ["I", hex(number)]
        if base is float:
            return _encode_float(float.__pos__(value))
        self._depth += 1
        try:
            return self._encode_compound(value, base)
        finally:
            self._depth -= 1

    def _encode_compound(self, value: Any, base: Any) -> Any:
        if base is bytes:
            return ["b", bytes.__getitem__(value, slice(None)).hex()]
        if base is complex:
            number = complex.__pos__(value)
            return ["c", _encode_float(number.real), _encode_float(number.imag)]
        if base is tuple:
            return self._encode_tuple(value)
        if base is frozenset:
            return ["F", *map(self.encode, frozenset.__iter__(value))]
        if base is not None:
            return self._refer(value, base)
        return self._encode_rest(value)

    def _encode_tuple(self, value: Any) -> Any:
        items = list(map(self.encode, tuple.__iter__(value)))
        fields = getattr(type(value), "_fields", None) if type(value) is not tuple else None
        if type(fields) is tuple and len(fields) == len(items) and all(map(is_field, fields)):
            return ["N", type(value).__name__, list(fields), *items]
        return ["t", *items]

    def _encode_rest(self, value: Any) -> Any:
        kind = type(value)
        if kind is range:
            return ["R", *map(self.encode, (value.start, value.stop, value.step))]
        if kind is slice:
            return ["sl", *map(self.encode, (value.start, value.stop, value.step))]
        if kind in VIEWS:
            return ["v", VIEWS[kind], *map(self.encode, value)]
        if kind is type and TYPES.get(value.__name__) is value:
            return ["T", value.__name__]
        if value is Ellipsis or value is NotImplemented:
            return ["T", repr(value)]
        if find_library_type(kind, "decimal", "Decimal"):
            return ["D", str(value)]
        if find_library_type(kind, "fractions", "Fraction"):
            return ["Q", self.encode(value.numerator), self.encode(value.denominator)]
        for name in ("datetime", "date", "time", "timedelta"):
            if find_library_type(kind, "datetime", name) and getattr(value, "tzinfo", None) is None:
                return ["dt", name, *_parts_of(value)]
        if find_library_type(kind, "collections", "deque"):
            return self._refer(value, kind)
        if (
            getattr(kind, "__module__", None) == "numpy"
            and hasattr(value, "item")
            and not hasattr(value, "__len__")
        ):
            return self.encode(value.item())  # one number of an array
        return self._export(value)

    def _refer(self, value: Any, base: Any) -> Any:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.objects)
            self.objects.append(value)
            self.table.append(None)
            self.table[number] = self._content(value, base)
        return ["r", number]

    def _content(self, value: Any, base: Any) -> Any:
        if base is list:
            return ["l", *map(self.encode, list.__iter__(value))]
        if base is dict:
            name = next(
                (
                    name
                    for name in ("Counter", "OrderedDict", "defaultdict")
                    if find_library_type(type(value), "collections", name)
                ),
                "",
            )
            return ["d", name, *(self.encode(part) for pair in dict.items(value) for part in pair)]
        if base is set:
            return ["S", *map(self.encode, set.__iter__(value))]
        if base is bytearray:
            return ["B", bytes(bytearray.__getitem__(value, slice(None))).hex()]
        return ["q", value.maxlen, *map(self.encode, value)]


def _encode_text(text: str) -> Any:
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:  # two lone halves in a row would be read as one character
        return ["s", *map(ord, text)]
    return text


def _encode_float(number: float) -> Any:
    return number if number - number == 0.0 else ["f", repr(number)]


def _parts_of(value: Any) -> list[int]:
    names = (
        ("days", "seconds")
        if hasattr(value, "days")
        else ("year", "month", "day", "hour", "minute", "second")
    )
    parts = [getattr(value, name) for name in names if hasattr(value, name)]
    if hasattr(value, "microsecond"):
        return [*parts, value.microsecond]
    return [*parts, value.microseconds] if hasattr(value, "days") else parts
