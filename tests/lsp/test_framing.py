"""Message bodies out of bytes, however the bytes arrive."""

import io
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.framing import MAX_BODY_BYTES, FramingError, frame_body, read_body


class Trickle(io.RawIOBase):
    """Gives one byte at a time, as a slow pipe may."""

    def __init__(self, content: bytes) -> None:
        self._rest = content

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        piece, self._rest = self._rest[:1], self._rest[1:]
        cast("bytearray", buffer)[: len(piece)] = piece
        return len(piece)


def read_all(stream: BinaryIO) -> list[bytes]:
    bodies: list[bytes] = []
    while (body := read_body(stream)) is not None:
        bodies.append(body)
    return bodies


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_bodies_come_back_as_they_were_framed(bodies: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(map(frame_body, bodies)))
    assert read_all(stream) == bodies


def test_headers_split_into_single_bytes_are_read() -> None:
    content = frame_body(b'{"a":1}') + frame_body(b"{}")
    assert read_all(cast("BinaryIO", io.BufferedReader(Trickle(content)))) == [b'{"a":1}', b"{}"]


@pytest.mark.parametrize(
    "head",
    [
        b"content-length: 2\r\n\r\n",
        b"CONTENT-LENGTH:2\r\n\r\n",
        b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length:  2 \r\nX-Other: a:b\r\n\r\n",
        b"Content-Length: 2\n\n",
    ],
)
def test_a_header_is_read_in_every_spelling(head: bytes) -> None:
    assert read_all(io.BytesIO(head + b"{}")) == [b"{}"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Content-Length: -1\r\n\r\n{}", "must be a number"),
        (b"Content-Length: 2.5\r\n\r\n{}", "must be a number"),
        (b"Content-Length: \xd9\xa3\r\n\r\n{}", "must be a number"),
        (b"Content-Length: 99999999999999999999\r\n\r\n{}", "must be a number"),
        (b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1), "more than"),
        (b"Content-Type: x\r\n\r\n{}", "without Content-Length"),
        (b"\r\n", "without Content-Length"),
        (b"hello\r\n", "no header line"),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n", "no header line"),
        (b'{"jsonrpc":"2.0"}', "no header line"),
        (b"Content-Length: 20", "no header line"),
        (b"X: " + b"y" * 9000, "no header line"),
        (b"X: y\r\n" * 2000, "no header line"),
        (b"Content-Length: 20\r\n\r\n{}", "ended after 2 of 20"),
    ],
)
def test_a_broken_stream_is_an_error(content: bytes, said: str) -> None:
    with pytest.raises(FramingError, match=said):
        read_body(io.BytesIO(content))


def test_the_message_of_a_broken_stream_quotes_little() -> None:
    with pytest.raises(FramingError) as caught:
        read_body(io.BytesIO(b"password = 'my secret is long enough to be cut'\n"))
    assert "secret is long" not in str(caught.value)
