"""Bytes in, message bodies out, and back: the header part of the language server protocol.

Stricter than most where a stream is broken, for then nothing that follows can be trusted; more lenient where
the standard is: names in any case, headers in any order. Knows no JSON.
"""

from __future__ import annotations

import re
from typing import BinaryIO

MAX_BODY_BYTES = 32 * 1024 * 1024
"""Far above any source file; a length beyond it is a broken stream, not a message."""
MAX_HEADER_BYTES = 8192
"""All header lines of one message."""

_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*?)[ \t]*\r?\n")
_LENGTH_DIGITS = 10


class FramingError(Exception):
    """The stream does not hold a message where one should begin. It cannot be read any further."""


def read_body(stream: BinaryIO) -> bytes | None:
    """Read one message and return its body, or None where the stream ends between messages.

    Raises:
        FramingError: What comes is no message, is too long, or ends early.
    """
    length = _read_length(stream)
    if length is None:
        return None
    body = _read_exactly(stream, length)
    if len(body) < length:
        raise FramingError(f"the stream ended after {len(body)} of {length} bytes of a message")
    return body


def frame_body(body: bytes) -> bytes:
    """Put the header before a body."""
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _read_length(stream: BinaryIO) -> int | None:
    length: int | None = None
    seen = 0
    while True:
        line = stream.readline(MAX_HEADER_BYTES)
        if not line and not seen:
            return None
        seen += len(line)
        if line in (b"\r\n", b"\n"):
            if length is None:
                raise FramingError("a message without Content-Length")
            return length
        header = _HEADER.fullmatch(line)
        if header is None or seen > MAX_HEADER_BYTES:
            raise FramingError(f"this is no header line: {_excerpt(line)}")
        if header[1].lower() == b"content-length":
            length = _parse_length(header[2])


def _parse_length(text: bytes) -> int:
    if not text.isdigit() or len(text) > _LENGTH_DIGITS:
        raise FramingError(f"Content-Length must be a number of bytes, got {_excerpt(text)}")
    if int(text) > MAX_BODY_BYTES:
        raise FramingError(f"a message of {int(text)} bytes, more than {MAX_BODY_BYTES}")
    return int(text)


def _read_exactly(stream: BinaryIO, length: int) -> bytes:
    pieces: list[bytes] = []
    missing = length
    while missing and (piece := stream.read(missing)):
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


def _excerpt(line: bytes) -> str:
    # A broken stream may hold source code, which must not get into an editor's log: a few characters will do.
    return repr(line[:24].decode("ascii", errors="replace"))
