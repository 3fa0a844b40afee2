from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from finetune.examples import Example, Place


@pytest.fixture
def example() -> Callable[..., Example]:
    """Build an example; each has a line of its own unless it is given one."""
    lines = iter(range(1, 1_000_000))

    def build(task: str = "t", code: str = "x = 1", *, file: str = "d.jsonl", **values: Any) -> Example:
        return Example(task=task, code=code, place=Place(file=file, row=next(lines)), **values)

    return build
