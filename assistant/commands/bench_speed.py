"""Measures a model's speed by the engine's own process, and says what the measurements mean."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assistant.commands.bench_prompts import PROMPTS
from assistant.errors import ModelError
from assistant.models.conversion import SPEED, run_measuring
from assistant.models.manifest import Manifest

BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSpeed:
    """One kind of prompts; the medians."""

    prompt_tokens: int
    first_token_s: float
    """With nothing of the prompt computed before."""
    warm_first_token_s: float
    """After the turns before it, or after the same prompt where there are none."""
    tokens_per_s: float
    """Of one stream, after its first token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a model is served on this machine."""

    model: str
    device: str
    quantization: str
    decode_threads: int
    prefill_threads: int
    load_s: float
    """From the process' start until it could answer."""
    model_bytes: int
    """Weights and cache."""
    process_bytes: int
    """Of main memory, everything counted."""
    gpu_bytes: int
    """At the most; 0 on a CPU."""
    kinds: Mapping[str, KindSpeed]
    batch_size: int
    batch_tokens_per_s: float
    """Of all answers of a batch together."""
    token_bytes: int
    """Weights that are read for each token."""
    bandwidth: float
    """Bytes of memory that this machine reads in a second."""

    @property
    def limit_tokens_per_s(self) -> float:
        """One stream at its fastest, if reading the weights took all of the time and no token was guessed."""
        return self.bandwidth / self.token_bytes if self.token_bytes else 0.0

    @property
    def bandwidth_share(self) -> float:
        """Of the memory bandwidth, what one stream that writes new code uses."""
        first = next(iter(self.kinds.values()))
        return first.tokens_per_s / self.limit_tokens_per_s if self.limit_tokens_per_s else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object, what is computed included."""
        computed = {"limit_tokens_per_s": self.limit_tokens_per_s, "bandwidth_share": self.bandwidth_share}
        return asdict(self) | computed


def measure_model(
    directory: Path, manifest: Manifest, *, max_tokens: int, rounds: int, report: Callable[[str], None]
) -> Speed:
    """Measure a model of the store with the user's settings.

    Args:
        directory: The model's.
        manifest: The model's.
        max_tokens: New tokens of each answer.
        rounds: So often each prompt is answered.
        report: Told what is being done.

    Raises:
        ModelError: It cannot be run.
        OutOfMemoryError: The device has no room for it.
        ConfigError: The settings ask for what this machine does not have.
        StorageError: The disk is full.
    """
    job = {
        "directory": str(directory),
        "name": manifest.name,
        "prompt_format": manifest.prompt_format,
        "served_as": manifest.served_as,
        "max_tokens": max_tokens,
        "rounds": rounds,
        "batch": BATCH,
        "prompts": {
            kind: [[asdict(turn) for turn in conversation] for conversation in conversations]
            for kind, conversations in PROMPTS.items()
        },
    }
    text = run_measuring(
        SPEED,
        job,
        None,
        lambda step: report(step.stage),
        what=f"measuring {manifest.name}",
        result="speed.json",
    )
    return build_speed(manifest.name, json.loads(text))


def build_speed(model: str, measured: Mapping[str, Any]) -> Speed:
    """Return the medians of what was measured.

    Raises:
        ModelError: No answer was long enough to have a speed.
    """
    kinds = {
        kind: _build_kind(kind, [run for run in measured["runs"] if run["kind"] == kind])
        for kind in dict.fromkeys(run["kind"] for run in measured["runs"])
    }
    copied = ("device", "quantization", "decode_threads", "prefill_threads", "load_s", "model_bytes")
    copied += ("process_bytes", "gpu_bytes", "token_bytes", "bandwidth")
    return Speed(
        model=model,
        kinds=kinds,
        batch_size=measured["batches"][0]["size"],
        batch_tokens_per_s=_find_median("a batch", list(_iter_speeds(measured["batches"]))),
        **{name: measured[name] for name in copied},
    )


def _build_kind(kind: str, runs: Sequence[Mapping[str, Any]]) -> KindSpeed:
    def median(name: str) -> float:
        return statistics.median(run[name] for run in runs)

    return KindSpeed(
        prompt_tokens=round(median("prompt_tokens")),
        first_token_s=median("first_s"),
        warm_first_token_s=median("warm_first_s"),
        tokens_per_s=_find_median(kind, list(_iter_speeds(runs))),
    )


def _iter_speeds(runs: Sequence[Mapping[str, Any]]) -> Iterator[float]:
    """The first token is there when the clock starts: it does not count."""
    for run in runs:
        answers = run.get("size", 1)
        if run["tokens"] > answers and run["decode_s"] > 0:
            yield (run["tokens"] - answers) / run["decode_s"]


def _find_median(kind: str, speeds: Sequence[float]) -> float:
    if not speeds:
        raise ModelError(f"no answer to {kind} had more than one token: there is no speed to tell")
    return statistics.median(speeds)
