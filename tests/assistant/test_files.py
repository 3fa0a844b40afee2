from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from assistant import files
from assistant.errors import StorageError, UsageError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_new_file_has_the_content_and_the_mode_the_umask_leaves(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        files.write_atomic(tmp_path / "new.txt", b"content")
    finally:
        os.umask(umask)
    assert (tmp_path / "new.txt").read_bytes() == b"content"
    assert mode_of(tmp_path / "new.txt") == 0o640


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_bytes(b"old")
    path.chmod(0o754)
    files.write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o754


def test_a_wanted_mode_is_exact_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        files.write_atomic(tmp_path / "shared", b"", mode=0o644)
    finally:
        os.umask(umask)
    assert mode_of(tmp_path / "shared") == 0o644


def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "file"
    target.write_bytes(b"old")
    (tmp_path / "link").symlink_to(target)
    files.write_atomic(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"new"


def test_a_name_of_the_longest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    files.write_atomic(path, b"content")
    assert path.read_bytes() == b"content"


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError, match=f"no space left for {path}"):
        files.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write_atomic(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_directory_is_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file"
    with pytest.raises(StorageError, match=f"cannot write {path}: No such file or directory"):
        files.write_atomic(path, b"")


def test_a_storage_error_ends_the_program_with_74() -> None:
    error = files.storage_error(OSError(errno.EROFS, os.strerror(errno.EROFS)), Path("/x"))
    assert error.exit_code == 74
    assert str(error) == "cannot write /x: Read-only file system"


def test_a_private_directory_is_made_with_its_parents_for_this_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "parent" / "private"
    umask = os.umask(0)
    try:
        assert files.make_private_dir(path) == path
    finally:
        os.umask(umask)
    assert mode_of(path) == 0o700


def test_a_private_directory_that_is_there_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "private"
    path.mkdir(mode=0o700)
    assert files.make_private_dir(path) == path


def test_a_directory_that_others_can_enter_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(0o755)
    with pytest.raises(UsageError, match=r"can be entered by others \(mode 0755\)") as caught:
        files.make_private_dir(path)
    assert caught.value.hint == f"chmod 700 {path}"
    assert mode_of(path) == 0o755


def test_a_link_to_a_directory_is_no_private_directory(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is not a directory"):
        files.make_private_dir(tmp_path / "link")


def test_a_file_in_the_place_of_a_private_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="is not a directory"):
        files.make_private_dir(tmp_path / "file")


def test_somebody_elses_directory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "private"
    path.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(UsageError, match="belongs to another user"):
        files.make_private_dir(path)


def test_a_private_directory_below_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot write"):
        files.make_private_dir(tmp_path / "file" / "private")
