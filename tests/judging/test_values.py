from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import json
import math
from typing import Any

import pytest

from assistant.judging.decoding import Decoder
from assistant.judging.values import MAX_DEPTH, Encoder
from assistant.judging.wire import MAX_FRAME_BYTES, ProtocolError, pack_frame, parse_json, render_json


def refuse(value: Any) -> Any:
    raise TypeError(type(value).__name__)


def unknown(part: list[Any]) -> Any:
    raise ProtocolError(str(part))


def crossed(value: Any) -> Any:
    encoder = Encoder(refuse)
    part = encoder.encode(value)
    part, table = parse_json(render_json([part, encoder.table]))
    return Decoder(unknown, table).decode(part)


Point = collections.namedtuple("Point", "x y")
VALUES: list[Any] = [
    None, True, False, 0, -1, 2**53, -(2**53), 2**20000, 0.0, -0.0, 1.0, 1e308, 5e-324, math.inf, -math.inf,
    complex(1, math.inf), "", "é€", "\ud800", "\ud800\udc00", "\0\"\\", b"", b"\xff", bytearray(b"a"), (),
    (1,), (1, (2, [3])),
    [], [1, [True, 1.0]], {}, {1: "a", (2,): {"b": None}}, set(), {1, 2}, frozenset({(1, 2)}),
    range(1, 10, 2), slice(1, None), int, type(None), ..., decimal.Decimal("1.10"), fractions.Fraction(1, 3),
    datetime.date(2024, 2, 29), datetime.datetime(2024, 1, 2, 3, 4, 5, 6), datetime.timedelta(-1, 2, 3),
    datetime.time(1, 2), collections.deque([1, 2], maxlen=3), collections.Counter("aab"),
    collections.OrderedDict([(2, 1), (1, 2)]), Point(1, [2]),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=[str(number) for number in range(len(VALUES))])
def test_a_plain_value_crosses_exact_to_the_type(value: Any) -> None:
    found = crossed(value)
    assert found == value
    assert type(found).__name__ == type(value).__name__


def test_not_a_number_crosses() -> None:
    assert math.isnan(crossed([math.nan])[0])


def test_views_of_a_dict_cross() -> None:
    assert list(crossed({2: 1, 1: 2}.keys())) == [2, 1]
    assert crossed({1: 2}.items()) == {(1, 2)}
    assert list(crossed({1: 2}.values())) == [2]


def test_a_subclass_is_its_base_and_nothing_of_it_is_called() -> None:
    def lie(*_: Any) -> Any:
        raise AssertionError("called")

    for base, plain in (
        (int, 5),
        (float, 1.5),
        (str, "ab"),
        (list, [1, 2]),
        (dict, {1: 2}),
        (set, {1}),
        (tuple, (1,)),
    ):
        lies = dict.fromkeys(["__iter__", "__str__", "__repr__", "__int__", "items", "keys", "__len__"], lie)
        found = crossed(type("Liar", (base,), lies)(plain))
        assert type(found) is base
        assert found == plain


def test_an_enum_of_numbers_is_a_number() -> None:
    assert type(crossed(enum.IntEnum("Colour", "RED").RED)) is int


def test_one_object_stays_one_object() -> None:
    row = [0]
    found = crossed([row, row])
    assert found[0] is found[1]


def test_a_cycle_comes_out_as_a_cycle() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    found = crossed(cycle)
    assert found[0] is found


def test_what_is_nested_too_deeply_or_too_large_is_refused() -> None:
    deep: Any = ()
    for _ in range(MAX_DEPTH + 1):
        deep = (deep,)
    for value in (deep, list(range(600_000))):
        with pytest.raises(ValueError, match="too large, or nested too deeply"):
            crossed(value)


@pytest.mark.parametrize(
    ("part", "table"),
    [
        (["r", 0], []), (["r", -1], [["l"]]), (["r", True], [["l"], ["l"]]), (["I", "xyz"], []), ([], []),
        (["R", "a"], []), (["T", "eval"], []), (["N", "a b", ["x"], 1], []), (["N", "P", ["count"], 1], []),
        (["dt", "__class__"], []), (["b", 5], []), (["t", ["h", 0]], []), (1, 5), (1, [["d", "eval"]]),
        (1, [["S", ["r", 0]]]), (1, [["d", "", 1]]), (1, [["d", "", ["r", 0], 1]]), (["s", -5], []),
        (["D", "x"], []), ({"a": []}, {}), (["f", []], []), (1, [["z"]]),
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused(part: Any, table: Any) -> None:
    with pytest.raises(ProtocolError):
        Decoder(unknown, table).decode(part)


@pytest.mark.parametrize("body", [b"", b"{", b"1 2", b"NaN", b"\xff", b"[" * 100_000, b'"' + b"\\ud8" + b'"'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_json(body)


def test_the_quick_json_writes_what_json_reads() -> None:
    value = [1, -2.5, "é\ud800\n", [None, True, False, []], {"a": {"b": [1e300]}}]
    assert json.loads(render_json(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


def test_a_frame_has_a_largest_size() -> None:
    with pytest.raises(ProtocolError, match="are allowed"):
        pack_frame(b"M", b"x" * (MAX_FRAME_BYTES + 1))
