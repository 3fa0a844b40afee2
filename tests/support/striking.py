"""Something goes wrong at the n-th call that changes or opens a file, for any n."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

CALLS = ("open", "write", "fsync", "replace", "rename", "mkdir", "rmdir", "unlink", "chmod")


class Strike:
    """Counts the calls of one thread.

    Args:
        at: Which call is struck, counted from 1.
        happen: What happens then, in place of the call.
        lasts: Whether it happens at every later call, too.
    """

    def __init__(self, at: int, happen: Callable[[], None], *, lasts: bool = False) -> None:
        self.at = at
        self.calls = 0
        self.has_struck = False
        self._happen = happen
        self._lasts = lasts
        self._thread = threading.get_ident()

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        original = {name: getattr(os, name) for name in CALLS}
        try:
            for name, call in original.items():
                setattr(os, name, self._wrap(call))
            yield
        finally:
            for name, call in original.items():
                setattr(os, name, call)

    def _wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if threading.get_ident() == self._thread:
                self.calls += 1
                if self.calls == self.at or (self._lasts and self.calls > self.at):
                    self.has_struck = True
                    self._happen()
            return call(*arguments, **options)

        return counted
