"""Memory, and which models it has room for. Estimates from published sizes, good to a tenth or so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assistant.commands.findings import Finding, Level, render_bytes

CGROUP = Path("/sys/fs/cgroup")
OVERHEAD_BYTES = 512 * 2**20
"""PyTorch itself, and the activations of a prefill chunk."""
CONVERSATION_TOKENS = 4096
BITS = {"4-bit": 4.5, "int8": 8.25, "16-bit": 16.0}
"""Bits of a weight with its share of the scales."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of this machine, or of the container we run in."""

    total: int
    available: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """A well-known model of its size, from its published configuration."""

    name: str
    parameters: float
    embedding: float
    """Parameters of the embedding and of the output layer, which are not quantised."""
    cache_bytes: int
    """Keys and values of one token in 16 bits: 2 · layers · heads · head size · 2 bytes."""


MODEL_SIZES = (
    ModelSize(name="135M", parameters=134.5e6, embedding=28.3e6, cache_bytes=2 * 30 * 3 * 64 * 2),
    ModelSize(name="1B", parameters=1.236e9, embedding=262.7e6, cache_bytes=2 * 16 * 8 * 64 * 2),
    ModelSize(name="7B", parameters=6.738e9, embedding=262.1e6, cache_bytes=2 * 32 * 32 * 128 * 2),
)
"""SmolLM2-135M, Llama-3.2-1B, Llama-2-7B."""


def find_memory(cgroup: Path = CGROUP) -> Memory:
    """Return the memory that this process may use: a container's limit counts where there is one."""
    import psutil

    machine = psutil.virtual_memory()
    try:
        limit = int((cgroup / "memory.max").read_text(encoding="ascii"))
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or `max`: no limit
        return Memory(total=machine.total, available=machine.available)
    return Memory(total=min(machine.total, limit), available=min(machine.available, max(limit - used, 0)))


def estimate_bytes(size: ModelSize, bits: float) -> float:
    """Return what a model needs for its weights and one conversation of 4096 tokens."""
    weights = (size.parameters - size.embedding) * bits / 8 + size.embedding * 2
    return weights + size.cache_bytes * CONVERSATION_TOKENS + OVERHEAD_BYTES


def check_fit(where: str, room: int) -> Iterator[Finding]:
    """Say for each size of model in which precision it fits.

    Args:
        where: On what it would run.
        room: Bytes that are free there.
    """
    for size in MODEL_SIZES:
        needs = {name: estimate_bytes(size, bits) for name, bits in BITS.items()}
        fitting = [f"{name} ({render_bytes(need)})" for name, need in needs.items() if need <= room]
        if fitting:
            yield Finding(subject=f"{size.name} model", text=f"fits on the {where}: {', '.join(fitting)}")
        else:
            least = render_bytes(min(needs.values()))
            yield Finding(
                subject=f"{size.name} model",
                text=f"needs {least} on the {where}, which has {render_bytes(room)} free",
                level=Level.FAIL if size is MODEL_SIZES[0] else Level.OK,
                to_do="close other programs" if size is MODEL_SIZES[0] else "",
            )
