"""Earlier tasks, walked through with ↑ and ↓. What is half typed is kept meanwhile. Knows no Textual."""

from __future__ import annotations

from collections.abc import Iterable


class Recall:
    """A walk through tasks, the newest first."""

    def __init__(self) -> None:
        self._tasks: list[str] = []
        self._position = -1
        self._half_typed = ""

    def extend(self, tasks: Iterable[str]) -> None:
        """Add older tasks, the newest first."""
        self._tasks += [task for task in tasks if task not in self._tasks]

    def add(self, task: str) -> None:
        """Add the newest task and end the walk."""
        self._position = -1
        if task.strip():
            self._tasks = [task, *(known for known in self._tasks if known != task)]

    def earlier(self, current: str) -> str | None:
        """Go one task back and return it; None at the oldest.

        Args:
            current: What is typed now.
        """
        if self._position >= 0 and current != self._tasks[self._position]:
            self._position = -1  # it was changed: that is the half-typed text now
        if self._position + 1 >= len(self._tasks):
            return None
        if self._position < 0:
            self._half_typed = current
        self._position += 1
        return self._tasks[self._position]

    def later(self) -> str | None:
        """Go one task forward and return it, at last what was half typed; None outside a walk."""
        if self._position < 0:
            return None
        self._position -= 1
        return self._tasks[self._position] if self._position >= 0 else self._half_typed
