"""Which of several processes this one is, as `accelerate launch` says by the environment. Knows no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """The processes that train together."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Among those of this machine: the number of its GPU."""

    @property
    def is_main(self) -> bool:
        """Whether this one writes what is written once."""
        return self.rank == 0


def find_processes() -> Processes:
    """Return what this process was started as."""
    numbers = {name: int(os.environ.get(name, default)) for name, default in _DEFAULTS.items()}
    return Processes(rank=numbers["RANK"], count=numbers["WORLD_SIZE"], local_rank=numbers["LOCAL_RANK"])


_DEFAULTS = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
