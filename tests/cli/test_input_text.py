from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from assistant.commands import input_text
from assistant.commands.input_text import MAX_INPUT_BYTES, Sources, read_sources
from assistant.commands.messages import Messages
from assistant.commands.terminal import Screen
from assistant.errors import UsageError


class Pipe:
    """Both ends of a pipe, the reading one as standard input."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        self.stdin = os.fdopen(reading, encoding="utf-8")
        self._is_open = True

    def write(self, content: bytes) -> None:
        os.write(self.writing, content)

    def end(self) -> None:
        if self._is_open:
            os.close(self.writing)
            self._is_open = False


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.end()
    pipe.stdin.close()


@pytest.fixture
def errors() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def messages(errors: io.StringIO) -> Messages:
    return Messages(errors)


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_text, "UNATTENDED_WAIT_S", 0.01)


def read(stdin: TextIO | None, messages: Messages, **sources: str) -> tuple[str, str]:
    return read_sources(Sources(**{"task": "do it", **sources}), stdin, messages)


def fed(pipe: Pipe, content: bytes) -> TextIO:
    pipe.write(content)
    pipe.end()
    return pipe.stdin


def test_a_pipe_is_the_input(pipe: Pipe, messages: Messages) -> None:
    assert read(fed(pipe, b"a = 1\n"), messages) == ("do it", "a = 1\n")


def test_an_empty_pipe_is_no_input_and_nothing_to_speak_of(
    pipe: Pipe, messages: Messages, errors: io.StringIO
) -> None:
    assert read(fed(pipe, b""), messages) == ("do it", "")
    assert errors.getvalue() == ""


def test_a_pipe_that_stays_silent_is_given_up_and_that_is_said(
    pipe: Pipe, messages: Messages, errors: io.StringIO
) -> None:
    assert read(pipe.stdin, messages) == ("do it", "")
    assert errors.getvalue().startswith("warning: standard input is open but silent for 0.01 s")
    assert "--input -" in errors.getvalue()


def test_a_socket_that_stays_silent_is_given_up_too(messages: Messages, errors: io.StringIO) -> None:
    ours, theirs = socket.socketpair()
    with theirs, os.fdopen(ours.detach(), encoding="utf-8") as stdin:
        assert read(stdin, messages) == ("do it", "")
    assert "silent" in errors.getvalue()


def test_a_pipe_that_has_begun_is_read_to_its_end_however_slow(pipe: Pipe, messages: Messages) -> None:
    pipe.write(b"first ")
    resumed = threading.Event()

    def write_the_rest() -> None:
        resumed.wait(0.1)  # much longer than a silent pipe is waited for
        pipe.write(b"second")
        pipe.end()

    writer = threading.Thread(target=write_the_rest)
    writer.start()
    assert read(pipe.stdin, messages) == ("do it", "first second")
    writer.join()


def test_a_pipe_that_was_asked_for_is_waited_for(pipe: Pipe, messages: Messages, errors: io.StringIO) -> None:
    def write() -> None:
        threading.Event().wait(0.1)
        fed(pipe, b"late")

    writer = threading.Thread(target=write)
    writer.start()
    assert read(pipe.stdin, messages, input="-") == ("do it", "late")
    writer.join()
    assert errors.getvalue() == ""


def test_a_person_is_told_what_is_waited_for(
    pipe: Pipe, errors: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(input_text, "ATTENDED_WAIT_S", 0.02)
    messages = Messages(errors, Screen(is_terminal=True, can_rewrite=True))
    assert read(pipe.stdin, messages) == ("do it", "")
    assert "waiting 0.02 s for standard input" in errors.getvalue()


def test_a_regular_file_is_the_input(tmp_path: Path, messages: Messages) -> None:
    (tmp_path / "in.txt").write_bytes(b"data\r\nmore\r")
    with (tmp_path / "in.txt").open(encoding="utf-8") as stdin:
        assert read(stdin, messages) == ("do it", "data\nmore\n")


def test_the_null_device_and_a_closed_standard_input_are_no_input(
    messages: Messages, errors: io.StringIO
) -> None:
    with Path(os.devnull).open(encoding="utf-8") as stdin:
        assert read(stdin, messages) == ("do it", "")
    assert read(None, messages) == ("do it", "")
    assert errors.getvalue() == ""


def test_a_given_input_leaves_the_pipe_alone(pipe: Pipe, messages: Messages) -> None:
    pipe.write(b"piped")
    assert read(pipe.stdin, messages, input="given") == ("do it", "given")
    assert read(pipe.stdin, messages, input="") == ("do it", "")
    assert os.read(pipe.stdin.fileno(), 9) == b"piped"


def test_the_task_can_come_from_standard_input(pipe: Pipe, messages: Messages) -> None:
    assert read(fed(pipe, b"sort it"), messages, task="-") == ("sort it", "")
    assert read(None, messages, task="x", input="y") == ("x", "y")


def test_task_and_input_cannot_both_come_from_there(messages: Messages) -> None:
    with pytest.raises(UsageError, match="cannot both come from standard input"):
        read(None, messages, task="-", input="-")
    with pytest.raises(UsageError, match="cannot both come from standard input"):
        read(None, messages, task="-", input_file="-")


def test_two_inputs_are_refused(messages: Messages) -> None:
    with pytest.raises(UsageError, match="--input and --input-file are both given"):
        read(None, messages, input="a", input_file="b")


@pytest.mark.parametrize("task", ["", "   ", "\n\t"])
def test_an_empty_task_is_refused(task: str, messages: Messages) -> None:
    with pytest.raises(UsageError, match="the task is empty"):
        read(None, messages, task=task)


def test_an_empty_task_from_a_pipe_is_refused(pipe: Pipe, messages: Messages) -> None:
    with pytest.raises(UsageError, match="the task is empty"):
        read(fed(pipe, b"\n"), messages, task="-")


def test_a_closed_standard_input_that_was_asked_for_is_refused(messages: Messages) -> None:
    with pytest.raises(UsageError, match="standard input is closed"):
        read(None, messages, input="-")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfx = 1\n", "x = 1\n"),
        (b"a\r\nb\r\n", "a\nb\n"),
        (b"a\rb", "a\nb"),
        ("漢字 〽️ \t\x0c".encode(), "漢字 〽️ \t\x0c"),
        (b"", ""),
        (b"\xef\xbb\xbf", ""),
    ],
)
def test_a_files_text_has_no_mark_and_plain_line_ends(
    content: bytes, text: str, tmp_path: Path, messages: Messages
) -> None:
    (tmp_path / "in.txt").write_bytes(content)
    assert read(None, messages, input_file=str(tmp_path / "in.txt")) == ("do it", text)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"caf\xe9\n", "is not UTF-8: byte 0xe9 at offset 3"),
        (b"\xef\xbb\xbfcaf\xe9\n", "is not UTF-8: byte 0xe9 at offset 6"),
        (b"ab\xe6\xbc", "is not UTF-8: byte 0xe6 at offset 2"),
        (b"\x7fELF\0\0", "looks binary: a NUL byte at offset 4"),
        (b"\xff\xfea\0", "is UTF-16, as its first two bytes say"),
        (b"\xfe\xff\0a", "is UTF-16, as its first two bytes say"),
    ],
)
def test_a_file_that_is_no_text_is_refused_with_the_place(
    content: bytes, complaint: str, tmp_path: Path, messages: Messages
) -> None:
    path = tmp_path / "in.bin"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read(None, messages, input_file=str(path))
    assert caught.value.message == f"{path} {complaint}"
    assert caught.value.hint


def test_a_file_that_is_not_there_a_directory_or_unreadable_is_named(
    tmp_path: Path, messages: Messages
) -> None:
    with pytest.raises(UsageError, match=f"there is no file {tmp_path}/none"):
        read(None, messages, input_file=str(tmp_path / "none"))
    with pytest.raises(UsageError, match=f"{tmp_path} is a directory"):
        read(None, messages, input_file=str(tmp_path))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UsageError, match=f"cannot read {tmp_path}/loop"):
        read(None, messages, input_file=str(tmp_path / "loop"))
    with pytest.raises(UsageError, match="cannot read"):
        read(None, messages, input_file="a\0b")


def test_a_pipe_with_bad_bytes_is_read_and_the_place_is_told(
    pipe: Pipe, messages: Messages, errors: io.StringIO
) -> None:
    assert read(fed(pipe, b"caf\xe9 au lait"), messages) == ("do it", "caf\N{REPLACEMENT CHARACTER} au lait")
    assert errors.getvalue() == (
        "warning: standard input is not UTF-8: byte 0xe9 at offset 3 and others like it are read as U+FFFD\n"
    )


def test_a_binary_pipe_is_refused(pipe: Pipe, messages: Messages) -> None:
    with pytest.raises(UsageError, match="standard input looks binary: a NUL byte at offset 1"):
        read(fed(pipe, b"a\0b"), messages)


def test_too_large_a_file_is_refused_with_both_numbers(tmp_path: Path, messages: Messages) -> None:
    path = tmp_path / "big.txt"
    path.write_bytes(b"x" * MAX_INPUT_BYTES)
    assert len(read(None, messages, input_file=str(path))[1]) == MAX_INPUT_BYTES
    path.write_bytes(b"x" * (MAX_INPUT_BYTES + 7))
    with pytest.raises(
        UsageError, match=rf"the limit is {MAX_INPUT_BYTES} bytes, and it has {MAX_INPUT_BYTES + 7}"
    ):
        read(None, messages, input_file=str(path))


def test_an_endless_standard_input_is_refused(messages: Messages) -> None:
    with (
        Path("/dev/zero").open(encoding="utf-8") as stdin,
        pytest.raises(UsageError, match="standard input is too large"),
    ):
        read(stdin, messages)


def test_a_flag_that_is_not_utf_8_is_refused(messages: Messages) -> None:
    broken = b"caf\xe9".decode("utf-8", "surrogateescape")
    with pytest.raises(UsageError, match="TASK is not UTF-8, from its character 4 on"):
        read(None, messages, task=broken)
    with pytest.raises(UsageError, match="--input is not UTF-8, from its character 4 on"):
        read(None, messages, input=broken)
