from __future__ import annotations

from pathlib import Path

import pytest

from assistant.config import SANDBOXES, SandboxSettings
from assistant.errors import SandboxError
from assistant.sandbox import choosing
from assistant.sandbox.advice import find_advice
from assistant.sandbox.bubblewrap import Bubblewrap
from assistant.sandbox.choosing import build_candidates, find_fault, find_sandbox
from assistant.sandbox.interface import Job, Limits, Process
from assistant.sandbox.landlock import Landlock

COMPLAINT = "bwrap: setting up uid map: Permission denied"


@pytest.fixture(autouse=True)
def no_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))


@pytest.fixture
def forbidding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `bwrap` as it is where user namespaces are forbidden."""
    fake = tmp_path / "bin" / "bwrap"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.9.0 && exit\necho "{COMPLAINT}" >&2\nexit 1\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")


def test_every_backend_that_can_be_set_is_there() -> None:
    for name in SANDBOXES:
        assert build_candidates(SandboxSettings(backend=name))


def test_without_bubblewrap_nothing_is_run_and_the_remedy_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SandboxError, match="nothing is run") as caught:
        find_sandbox(SandboxSettings(backend="bubblewrap"))
    assert "sudo apt install bubblewrap" in caught.value.hint
    assert "sudo dnf install bubblewrap" in caught.value.hint


@pytest.mark.usefixtures("forbidding")
def test_forbidden_namespaces_are_named_as_bwrap_names_them() -> None:
    with pytest.raises(SandboxError, match=COMPLAINT):
        find_sandbox(SandboxSettings(backend="bubblewrap"))


@pytest.mark.usefixtures("forbidding")
def test_where_namespaces_are_forbidden_landlock_is_taken(landlock: Landlock) -> None:
    assert find_sandbox(SandboxSettings()).name == landlock.name


def test_bubblewrap_comes_first(bubblewrap: Bubblewrap) -> None:
    assert find_sandbox(SandboxSettings()).name == bubblewrap.name


def test_what_held_is_not_tried_again(bubblewrap: Bubblewrap, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_fault(bubblewrap) == ""
    monkeypatch.setattr(choosing, "find_leaks", lambda _: ["everything"])
    assert find_fault(Bubblewrap()) == ""
    monkeypatch.setattr(choosing.platform, "release", lambda: "another kernel")
    assert "everything" in find_fault(Bubblewrap())


def test_a_backend_that_leaks_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    class Leaking:
        name = "leaking"

        def find_version(self) -> str:
            return "1"

        def start(self, job: Job, limits: Limits) -> Process:
            raise NotImplementedError

    monkeypatch.setattr(choosing, "build_candidates", lambda _: [Leaking()])
    monkeypatch.setattr(choosing, "find_leaks", lambda _: ["read_secret (through)"])
    with pytest.raises(SandboxError, match="does not hold: read_secret"):
        find_sandbox(SandboxSettings())


def test_verdicts_that_cannot_be_read_are_made_anew(bubblewrap: Bubblewrap) -> None:
    assert find_fault(bubblewrap) == ""
    path = choosing.runtime_dir() / choosing.VERDICTS
    for content in ("{}", "[["):
        path.write_text(content)
        assert find_fault(bubblewrap) == ""


@pytest.mark.parametrize(
    ("setting", "value", "remedy"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "/etc/apparmor.d/bwrap"),
        ("kernel/unprivileged_userns_clone", "0", "sudo sysctl -w kernel.unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "sudo sysctl -w user.max_user_namespaces=10000"),
        ("other", "", "Landlock"),
    ],
)
def test_the_advice_fits_what_stands_in_the_way(
    tmp_path: Path, setting: str, value: str, remedy: str
) -> None:
    (tmp_path / setting).parent.mkdir(exist_ok=True)
    (tmp_path / setting).write_text(value + "\n")
    assert remedy in find_advice("/usr/bin/bwrap", kernel=tmp_path)
