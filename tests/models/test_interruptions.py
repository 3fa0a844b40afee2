from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_models import build_model, publish
from striking import Strike

from assistant.errors import AssistantError, StorageError
from assistant.files import write_atomic
from assistant.models.pull import pull
from assistant.models.store import ModelStore

CYCLE_CALLS = 228
"""So many calls are in one cycle of `churn`, at least."""


def fail() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def weights(directory: Path) -> bytes:
    return (directory / "model.safetensors").read_bytes()


class Case:
    """A store with the active model `a`, the earlier one `z`, and the sources of others."""

    def __init__(self, root: Path) -> None:
        self.sources = [build_model(root / f"source-{seed}", seed=seed) for seed in range(3)]
        self.base = ModelStore(root / "base")
        for name, source in (("z", self.sources[2]), ("a", self.sources[0])):
            publish(self.base, name, source)
            self.base.use(name)
        self._copy = root / "copy"

    def fresh(self) -> ModelStore:
        shutil.rmtree(self._copy, ignore_errors=True)
        shutil.copytree(self.base.root, self._copy)
        return ModelStore(self._copy)

    def pull_new(self, store: ModelStore) -> None:
        pull(str(self.sources[1]), store, name="b", report=lambda progress: None)

    def replace_active(self, store: ModelStore) -> None:
        pull(str(self.sources[1]), store, name="a", replace=True, report=lambda progress: None)

    def use_other(self, store: ModelStore) -> None:
        store.use("z")

    def roll_back(self, store: ModelStore) -> None:
        store.rollback()

    def remove_other(self, store: ModelStore) -> None:
        store.remove("z")

    def check(self, store: ModelStore, *, may_lose: str = "") -> None:
        """Whatever happened, the active model and each one that nobody asked to remove can be read."""
        assert store.active() in ("a", "z")
        known = [weights(source) for source in self.sources]
        for name in {"a", "z"} - {may_lose}:
            assert weights(store.resolve(name)) in known
        for name in store.names():
            assert weights(store.resolve(name)) in known


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


Action = Callable[[Case, ModelStore], None]
PULLS: list[Action] = [Case.pull_new, Case.replace_active]
SHORT: list[Action] = [Case.use_other, Case.roll_back, Case.remove_other]
once_or_lasting = pytest.mark.parametrize("lasts", [False, True], ids=["once", "from-then-on"])


def is_done(store: ModelStore, action: Action) -> bool:
    """Whether an action that failed is done all the same: only what comes after it has failed."""
    if action is Case.roll_back:
        return store.active() == "z"
    present = "b" if action is Case.pull_new else "z"
    return (present in store.names()) == (action is Case.pull_new) and action is not Case.use_other


def fail_at_each_call(case: Case, action: Action, *, lasts: bool, stride: int = 1) -> None:
    may_lose = "z" if action is Case.remove_other else ""
    failures = 0
    for number in range(1, 1000, stride):
        store = case.fresh()
        strike = Strike(number, fail, lasts=lasts)
        error: AssistantError | None = None
        with strike.armed():
            try:
                action(case, store)
            except AssistantError as caught:
                error = caught
        case.check(store, may_lose=may_lose)
        if error is not None:
            failures += 1
            if not is_done(store, action):
                action(case, store)
            case.check(store, may_lose=may_lose)
        if not strike.has_struck:
            assert error is None
            break
    assert failures > 3


@once_or_lasting
@pytest.mark.parametrize("action", SHORT, ids=lambda action: action.__name__)
def test_whichever_call_fails_nothing_is_lost_and_trying_again_works(
    case: Case, action: Action, lasts: bool
) -> None:
    fail_at_each_call(case, action, lasts=lasts)


@once_or_lasting
@pytest.mark.parametrize("action", PULLS, ids=lambda action: action.__name__)
def test_whichever_call_of_a_pull_fails_nothing_is_lost_and_trying_again_works(
    case: Case, action: Action, lasts: bool
) -> None:
    fail_at_each_call(case, action, lasts=lasts, stride=7)


@pytest.mark.slow
@once_or_lasting
@pytest.mark.parametrize("action", PULLS, ids=lambda action: action.__name__)
def test_each_single_call_of_a_pull_may_fail(case: Case, action: Action, lasts: bool) -> None:
    fail_at_each_call(case, action, lasts=lasts)


def run_churn(case: Case, store: ModelStore, at: int, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "churn", str(store.root), *map(str, case.sources[:2]), str(at)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def check_after_kill(case: Case, store: ModelStore) -> None:
    assert store.active() in ("a", "b")
    known = [weights(source) for source in case.sources]
    for name in store.names():
        assert weights(store.resolve(name)) in known
    assert {"a", "z"} <= set(store.names())
    assert weights(store.resolve(store.active() or "")) in known


@pytest.mark.parametrize("round_number", range(20))
def test_a_kill_at_any_moment_leaves_the_active_model_readable(
    case: Case, child_environment: dict[str, str], round_number: int
) -> None:
    store = case.fresh()
    run_churn(case, store, 1 + round_number * CYCLE_CALLS // 20, child_environment)
    check_after_kill(case, store)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_kill_at_each_call_of_a_cycle_leaves_the_active_model_readable(
    case: Case, child_environment: dict[str, str]
) -> None:
    store = case.fresh()
    for number in range(1, CYCLE_CALLS + 1):
        run_churn(case, store, number, child_environment)
        check_after_kill(case, store)


def test_what_a_killed_process_leaves_is_cleaned_up_later(
    case: Case, child_environment: dict[str, str]
) -> None:
    from assistant.models.leftovers import clean_leftovers

    store = case.fresh()
    run_churn(case, store, 20, child_environment)
    left = list(store.root.glob(".tmp-*"))
    assert len(left) == 1
    assert clean_leftovers(store.root) == []
    later = left[0].stat().st_mtime + 2 * 86_400
    assert clean_leftovers(store.root, now=later) == [left[0].name]
    assert not left[0].exists()


def test_a_full_disk_while_the_pointer_is_written_keeps_the_old_one(case: Case) -> None:
    store = case.fresh()
    before = (store.root / "active.json").read_bytes()
    store.resolve("z")
    strike = Strike(1, fail, lasts=True)
    with strike.armed(), pytest.raises(StorageError):
        write_atomic(store.root / "active.json", b"{}")
    assert (store.root / "active.json").read_bytes() == before
