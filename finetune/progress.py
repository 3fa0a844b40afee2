"""What long work reports while it goes on. Shows nothing; whoever calls decides how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far a stage has come."""

    stage: str
    """What is being done, in words for a status line; empty where nothing is, and the line goes."""
    done: int = 0
    total: int = 0
    """In the same unit as `done`; 0 where it is not known."""
    detail: str = ""
    """What else is good to know now, in a few words."""


Report = Callable[[Step], None]


def report_nothing(_: Step) -> None:
    """Show no progress."""


def track(items: Sequence[ItemT], stage: str, report: Report) -> Iterator[ItemT]:
    """Yield the items and report before each, and at the end."""
    for done, item in enumerate(items):
        report(Step(stage=stage, done=done, total=len(items)))
        yield item
    report(Step(stage=stage, done=len(items), total=len(items)))
