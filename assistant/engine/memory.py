"""Running out of memory, told apart from other errors and told to the user. Knows no model."""

from __future__ import annotations

import torch

from assistant.errors import OutOfMemoryError

_CPU_MESSAGES = ("DefaultCPUAllocator", "can't allocate memory", "out of memory")


def out_of_memory_error(error: BaseException, what: str) -> OutOfMemoryError | None:
    """Return our error for one that means that the device is full, and None for any other.

    Args:
        error: Whatever torch raised.
        what: What there was no room for.
    """
    full = isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(m in str(error) for m in _CPU_MESSAGES)
    )
    if not full:
        return None
    return OutOfMemoryError(
        f"the device has no room for {what}",
        hint="lower engine.context_tokens or engine.slots, set engine.quantization to nf4 (GPU) or int4"
        " (CPU), or use a smaller model",
    )


def release_memory() -> None:
    """Give cached device memory back. Call it outside of `except`: a traceback holds tensors."""
    import gc

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
