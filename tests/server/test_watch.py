from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from watchdog.events import (
    DirModifiedEvent,
    DirMovedEvent,
    FileClosedNoWriteEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
    FileSystemEvent,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from assistant.server import watch as watch_module
from assistant.server.watch import StoreWatch

WAIT_S = 20.0


class ExhaustedObserver(PollingObserver):
    """As inotify when the system has no watches left."""

    def start(self) -> None:
        raise OSError(28, "inotify watch limit reached")


Observers = tuple[Callable[[], BaseObserver], ...]


def changes_seen(directory: Path, change: Callable[[], None], observers: Observers = ()) -> int:
    """How often a watch called back for a change, told from what comes after by a last one."""

    async def run() -> int:
        called = asyncio.Event()
        calls = 0

        def note() -> None:
            nonlocal calls
            calls += 1
            called.set()

        watch = StoreWatch(directory, note)
        watch.start(observers)
        try:
            change()
            async with asyncio.timeout(WAIT_S):
                await called.wait()
        finally:
            watch.stop()
        return calls

    return asyncio.run(run())


def replace_pointer(directory: Path) -> None:
    (directory / ".tmp").write_text("{}")
    (directory / ".tmp").replace(directory / "active.json")


def test_replaced_pointer_is_noticed_once(tmp_path: Path) -> None:
    assert changes_seen(tmp_path, lambda: replace_pointer(tmp_path)) == 1


def test_model_that_takes_a_name_is_noticed(tmp_path: Path) -> None:
    (tmp_path / ".staging").mkdir()
    assert changes_seen(tmp_path, lambda: (tmp_path / ".staging").replace(tmp_path / "model") and None) == 1


def test_watch_goes_on_by_asking_where_notifications_are_exhausted(tmp_path: Path) -> None:
    observers = (ExhaustedObserver, lambda: PollingObserver(timeout=0.05))
    assert changes_seen(tmp_path, lambda: replace_pointer(tmp_path), observers) == 1


def test_where_nothing_can_watch_the_server_still_starts(tmp_path: Path) -> None:
    async def run() -> None:
        watch = StoreWatch(tmp_path, lambda: None)
        watch.start((ExhaustedObserver,))
        watch.stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("event", "is_change"),
    [
        (FileMovedEvent("/store/.active.json.tmp", "/store/active.json"), True),
        (FileDeletedEvent("/store/active.json"), True),
        (DirMovedEvent("/store/.tmp-1/model", "/store/model"), True),
        (FileOpenedEvent("/store/active.json"), False),
        (FileClosedNoWriteEvent("/store/active.json"), False),
        (FileModifiedEvent("/store/.verified.json"), False),
        (FileModifiedEvent("/store/model/config.json"), False),
        (DirModifiedEvent("/store"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_the_pointer_and_models_count(
    event: FileSystemEvent, is_change: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "SETTLE_S", 0.0)

    async def run() -> int:
        calls: list[None] = []
        StoreWatch(Path("/store"), lambda: calls.append(None)).on_any_event(event)
        for _ in range(10):
            await asyncio.sleep(0)
        return len(calls)

    assert asyncio.run(run()) == is_change
