"""Frames on a channel: a kind, a length, a body. Runs inside both sandboxes and beside them; knows no values.

What is imported here costs each judgement its time twice, so `json` is not: its regular expressions take
longer than all the rest. Its C half alone reads and writes the same text.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LOAD, START, TALK, GONE, REPORT = b"L", b"S", b"M", b"X", b"R"
"""The program to run; what it is to do; a message to the other side; the other side has ended; a verdict."""

HEAD_BYTES = 5
MAX_FRAME_BYTES = 8 * 1024**2


class ProtocolError(Exception):
    """The other side sent what is no message."""


class Gone(BaseException):
    """The other side has ended. No test may catch it by accident."""


def pack_frame(kind: bytes, body: bytes) -> bytes:
    """Put a head before a body."""
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"a message of {len(body)} bytes; {MAX_FRAME_BYTES} are allowed")
    return kind + len(body).to_bytes(4, "big") + body


def write_frame(descriptor: int, kind: bytes, body: bytes) -> None:
    """Send one frame, however long that takes."""
    left = memoryview(pack_frame(kind, body))
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except OSError as error:
            raise Gone("the other side has ended") from error


def read_frame(descriptor: int) -> tuple[bytes, bytes]:
    """Wait for one frame, and return its kind and its body."""
    head = read_exactly(descriptor, HEAD_BYTES)
    length = int.from_bytes(head[1:], "big")
    if length > MAX_FRAME_BYTES:
        raise ProtocolError("a message that is too long")
    return head[:1], read_exactly(descriptor, length)


def read_exactly(descriptor: int, size: int) -> bytes:
    """Wait for so many bytes."""
    pieces: list[bytes] = []
    while size:
        try:
            piece = os.read(descriptor, min(size, 1 << 20))
        except OSError as error:
            raise Gone("the other side has ended") from error
        if not piece:
            raise Gone("the other side has ended")
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _find_json() -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    try:
        import _json

        context: Any = _Context()
        scan = _json.make_scanner(context)
        encode = _json.make_encoder(
            None, _refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, False
        )
    except (ImportError, AttributeError, TypeError):  # private to CPython, and free to change
        import json

        return (lambda value: json.dumps(value, allow_nan=False)), json.loads

    def read(text: str) -> Any:
        try:
            value, end = scan(text, 0)
        except StopIteration as error:
            raise ValueError("no JSON") from error
        if end != len(text):
            raise ValueError("more than one JSON value")
        return value

    return (lambda value: "".join(encode(value, 0))), read


def _refuse(value: object) -> None:
    raise TypeError(f"no JSON for {type(value).__name__}")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


class _Context:
    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_no_constant)


_write, _read = _find_json()


def render_json(value: Any) -> bytes:
    """Write lists, texts, numbers, truth values and None."""
    return _write(value).encode("ascii")


def parse_json(body: bytes) -> Any:
    """Read what the other side wrote.

    Raises:
        ProtocolError: It is no JSON, or nested too deeply to be read.
    """
    try:
        return _read(body.decode("ascii"))
    except (ValueError, RecursionError, MemoryError) as error:
        raise ProtocolError("no message") from error
