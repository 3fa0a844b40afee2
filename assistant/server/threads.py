"""Blocking work for the event loop, on daemon threads: a load that hangs never keeps the process alive."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


def call_in_thread(function: Callable[..., Result], *arguments: Any) -> asyncio.Future[Result]:
    """Run a function on a thread of its own. Whoever stops waiting for it leaves it running."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def deliver(settle: Callable[..., None], value: object) -> None:
        if not future.done():
            settle(value)

    def run() -> None:
        settle: Callable[..., None] = future.set_result
        value: object
        try:
            value = function(*arguments)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            settle, value = future.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(deliver, settle, value)

    threading.Thread(target=run, name=getattr(function, "__name__", "call"), daemon=True).start()
    return future
