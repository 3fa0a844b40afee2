# pyright: basic
"""How fast a device reads its memory: the limit of decoding, which reads every weight for each token.

Knows no model.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

BYTES = {"cpu": 2**28, "cuda": 2**30}
"""Read at once, by the device's type: several times its caches."""
ROUNDS = 5


def measure_bandwidth(device: torch.device, *, size: int = 0) -> float:
    """Return bytes a second, the best of some rounds: others on the machine can only make it look slower.

    Args:
        device: On a CPU, all threads that torch may use read.
        size: Bytes of the buffer; 0 for what the device's caches cannot hold.
    """
    buffer = torch.ones((size or BYTES[device.type]) // 4, dtype=torch.float32, device=device)
    # Two ways to read each byte once: which of them is nearer to the limit depends on the machine.
    ways: tuple[Callable[[Tensor], Tensor], ...] = (torch.sum, lambda x: torch.dot(x, x))
    seconds = min(_time(way, buffer) for _ in range(ROUNDS) for way in ways)
    return buffer.nbytes / seconds


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _time(read: Callable[[Tensor], Tensor], buffer: Tensor) -> float:
    synchronize(buffer.device)
    started = time.perf_counter()
    read(buffer)
    synchronize(buffer.device)
    return time.perf_counter() - started
