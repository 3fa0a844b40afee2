from __future__ import annotations

from collections.abc import Callable, Iterator
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


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch compute on one core: models of this size gain nothing from more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
