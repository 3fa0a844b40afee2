"""Giving memory back before another process loads a model. Imports no torch that is not there already."""

from __future__ import annotations

import gc
import sys
from typing import Any


def free_memory() -> None:
    """Collect what training held, and the GPU's share of it."""
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
