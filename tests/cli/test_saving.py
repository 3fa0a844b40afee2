from __future__ import annotations

import os
from pathlib import Path

import pytest

from assistant.commands.saving import check_target, save_answer, save_partial
from assistant.errors import StorageError, UsageError


def test_a_new_file_in_a_directory_that_is_there_is_fine(tmp_path: Path) -> None:
    check_target(tmp_path / "new.py", force=False)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_needs_force(tmp_path: Path) -> None:
    path = tmp_path / "old.py"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(UsageError, match=f"{path} exists") as caught:
        check_target(path, force=False)
    assert caught.value.hint == "--force replaces it"
    check_target(path, force=True)
    assert path.read_text(encoding="utf-8") == "old"


def test_a_link_to_nowhere_exists_too(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="exists"):
        check_target(tmp_path / "link", force=False)
    check_target(tmp_path / "link", force=True)


def test_a_missing_directory_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"there is no directory {tmp_path}/none") as caught:
        check_target(tmp_path / "none" / "new.py", force=False)
    assert caught.value.hint == f"mkdir -p {tmp_path}/none"


@pytest.mark.parametrize("force", [True, False])
def test_a_device_or_a_directory_is_never_replaced(tmp_path: Path, force: bool) -> None:
    with pytest.raises(UsageError, match="is not a regular file"):
        check_target(Path(os.devnull), force=force)
    with pytest.raises(UsageError, match="is a directory"):
        check_target(tmp_path, force=force)


def test_what_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.py"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda asked, _: asked != path)
    with pytest.raises(UsageError, match=f"{path} may not be written to"):
        check_target(path, force=True)
    monkeypatch.setattr(os, "access", lambda asked, _: asked != tmp_path)
    with pytest.raises(UsageError, match=f"nothing may be written in {tmp_path}"):
        check_target(tmp_path / "new.py", force=False)


def test_a_file_that_came_up_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "new.py"
    path.write_text("somebody else's", encoding="utf-8")
    with pytest.raises(StorageError, match="has come up meanwhile"):
        save_answer(path, "ours", force=False)
    assert path.read_text(encoding="utf-8") == "somebody else's"
    save_answer(path, "ours", force=True)
    assert path.read_text(encoding="utf-8") == "ours"


def test_line_ends_are_written_as_they_are(tmp_path: Path) -> None:
    save_answer(tmp_path / "new.py", "a\r\nb\n", force=False)
    assert (tmp_path / "new.py").read_bytes() == b"a\r\nb\n"


def test_partial_answers_never_replace_each_other(tmp_path: Path) -> None:
    path = tmp_path / "new.py"
    names = [save_partial(path, text).name for text in ("first", "second", "third")]
    assert names == ["new.py.partial", "new.py.partial-2", "new.py.partial-3"]
    assert (tmp_path / names[1]).read_text(encoding="utf-8") == "second"
