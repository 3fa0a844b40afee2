from __future__ import annotations

import os
import resource
import signal
from contextlib import closing
from pathlib import Path

import pytest

from assistant.errors import StorageError, UsageError
from assistant.evaluation.row_files import RowFile, read_whole_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def append(path: Path, *rows: dict[str, object]) -> None:
    with closing(RowFile(path)) as file:
        for row in rows:
            file.append(row)


def test_rows_are_read_as_they_were_written(path: Path) -> None:
    append(path, {"text": "a\nb\u2028c\0 ü \ud800"}, {"n": 1})
    append(path, {"n": 2})
    assert read_whole_rows(path) == [{"text": "a\nb\u2028c\0 ü \ud800"}, {"n": 1}, {"n": 2}]


def test_a_file_that_is_not_there_has_no_rows(path: Path) -> None:
    assert read_whole_rows(path) == []


@pytest.mark.parametrize("torn", [b"{", b'{"n": 2}', b'{"text": "\xc3', b'{"n": 1}\0\0\0'])
def test_a_torn_last_line_is_dropped_and_does_not_spoil_the_next(path: Path, torn: bytes) -> None:
    append(path, {"n": 1})
    with path.open("ab") as file:
        file.write(torn)
    assert read_whole_rows(path) == [{"n": 1}]
    append(path, {"n": 3})
    assert read_whole_rows(path) == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("line", [b"{broken}\n", b"[1]\n", b"\n"])
def test_a_damaged_line_between_others_is_named(path: Path, line: bytes) -> None:
    path.write_bytes(b'{"n": 1}\n' + line + b'{"n": 2}\n')
    with pytest.raises(UsageError, match=r"rows\.jsonl:2 is damaged"):
        read_whole_rows(path)


def test_only_its_user_may_read_it(path: Path) -> None:
    append(path, {"n": 1})
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_row_that_does_not_fit_on_the_disk_leaves_no_part_of_itself(path: Path) -> None:
    append(path, {"n": 1})
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
            append(path, {"text": "x" * 200})
        except StorageError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == b'{"n": 1}\n'


def test_a_closed_file_takes_no_rows_and_harms_no_other(path: Path, tmp_path: Path) -> None:
    file = RowFile(path)
    file.close()
    with (tmp_path / "other").open("wb") as other:
        with pytest.raises(StorageError):
            file.append({"n": 1})
        assert other.tell() == 0
    assert (tmp_path / "other").read_bytes() == b""
