"""Data sets that people train on, where there are copies: `TRAINING_DATA` names their directory."""

from __future__ import annotations

import os
from pathlib import Path

WHY_NOT = "TRAINING_DATA names no directory with this data set"


def real_file(name: str) -> Path:
    """Where a data set would be."""
    return Path(os.environ.get("TRAINING_DATA", "/nonexistent")) / name
