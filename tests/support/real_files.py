"""Data sets that people train on, where there are copies of them: `ASSISTANT_TEST_DATA` names their directory."""

from __future__ import annotations

import os
from pathlib import Path

WHY_NOT = "ASSISTANT_TEST_DATA names no directory with this data set"


def real_file(name: str) -> Path:
    """Where a data set would be."""
    return Path(os.environ.get("ASSISTANT_TEST_DATA", "/nonexistent")) / name
