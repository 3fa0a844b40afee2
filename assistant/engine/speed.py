# pyright: basic
"""Measures how fast a model is served: `python -m assistant.engine.speed JOB RESULT`.

JOB is a JSON object: `directory`, `name`, `prompt_format`, `served_as` (as in a manifest), `max_tokens`,
`rounds`, `batch`, and `prompts`: for each kind a list of conversations, each a list of `role`, `text`,
`input`. The settings are the user's. `speed.json` in the directory RESULT gets everything that was measured;
what it means is the caller's business. What goes on is reported as the converters do (`conversion`).

A process of its own: what it loads is loaded as the generator would, and what it measures of its memory is
its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from assistant.engine.bandwidth import measure_bandwidth
from assistant.engine.batch import BatchedModel
from assistant.engine.conversion import Report, run_converter
from assistant.engine.loading import Parts, load_parts
from assistant.engine.timing import Timing, time_job
from assistant.errors import ModelError
from assistant.files import write_atomic
from assistant.requests import Role, Sampling, Turn
from assistant.settings import build_sampling, read_config

RESULT_NAME = "speed.json"
WARM_UP_TOKENS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A conversation as token ids."""

    kind: str
    ids: Sequence[int]
    earlier: Sequence[int]
    """What was asked before it: the turns but the last two, or the same where there is one alone."""


def measure_speed(source: Path, target: Path, report: Report) -> None:
    """Run a job.

    Raises:
        AssistantError: The model cannot be loaded, or a prompt is longer than its context.
    """
    job = json.loads(source.read_text(encoding="utf-8"))
    config = read_config()
    report("loading the model")
    parts = load_parts(
        Path(job["directory"]),
        job["name"],
        job["prompt_format"],
        config,
        lambda _: None,
        served_as=job["served_as"],
    )
    model = parts.start(job["name"])
    loaded = describe_model(parts, model) | {"load_s": time.time() - psutil.Process().create_time()}
    asked = _encode_prompts(model, job["prompts"])
    sampling = replace(build_sampling(config.sampling), max_tokens=job["max_tokens"], seed=0)
    time_job(model, asked[0].ids, replace(sampling, max_tokens=WARM_UP_TOKENS))
    runs: list[dict[str, Any]] = []
    batches: list[dict[str, Any]] = []
    count = job["rounds"] * (len(asked) + 1)
    size = min(job["batch"], model.slots)
    for _ in range(job["rounds"]):
        for one in asked:
            report(f"answering {len(runs) + len(batches)}/{count}")
            runs.append({"kind": one.kind, **measure_prompt(model, one, sampling)})
        report(f"answering {len(runs) + len(batches)}/{count}")
        timing = time_job(model, asked[0].ids, replace(sampling, n=size))
        batches.append({"size": size, **_describe(timing)})
    memory = _measure_memory(parts)
    model.close()
    report("reading memory as fast as it goes")
    torch.set_num_threads(parts.placement.prefill_threads)
    bandwidth = measure_bandwidth(parts.placement.device)
    document = loaded | memory | {"bandwidth": bandwidth, "runs": runs, "batches": batches}
    write_atomic(target / RESULT_NAME, json.dumps(document).encode(), mode=0o600)


def describe_model(parts: Parts, model: BatchedModel) -> dict[str, Any]:
    """Return how a model is placed, and what a token costs it."""
    placement = parts.placement
    return {
        "device": model.device,
        "quantization": model.quantization,
        "slots": model.slots,
        "context_tokens": model.context_tokens,
        "decode_threads": placement.decode_threads[0],
        "prefill_threads": placement.prefill_threads,
        "model_bytes": model.memory_bytes,
        "token_bytes": parts.network.token_bytes,
    }


def measure_prompt(model: BatchedModel, asked: Asked, sampling: Sampling) -> dict[str, Any]:
    """Answer a conversation cold, then once more after what came before it."""
    model.forget_prompts()
    cold = time_job(model, asked.ids, sampling)
    model.forget_prompts()
    time_job(model, asked.earlier, replace(sampling, max_tokens=1))
    warm = time_job(model, asked.ids, replace(sampling, max_tokens=1))
    return _describe(cold) | {"warm_first_s": warm.first_s, "warm_cached_tokens": warm.cached_tokens}


def _describe(timing: Timing) -> dict[str, Any]:
    return {key: value for key, value in asdict(timing).items() if key != "text"}


def _encode_prompts(model: BatchedModel, prompts: dict[str, list[list[dict[str, str]]]]) -> list[Asked]:
    asked: list[Asked] = []
    for kind, conversations in prompts.items():
        for conversation in conversations:
            turns = [Turn(**{**turn, "role": Role(turn["role"])}) for turn in conversation]
            ids = model.encode_turns(turns)
            if len(ids) >= model.context_tokens:
                raise ModelError(
                    f"a prompt of {len(ids)} tokens does not fit a context of {model.context_tokens}",
                    hint="raise engine.context_tokens",
                )
            asked.append(Asked(kind=kind, ids=ids, earlier=model.encode_turns(turns[:-2] or turns)))
    return asked


def _measure_memory(parts: Parts) -> dict[str, Any]:
    device = parts.placement.device
    on_gpu = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return {"process_bytes": psutil.Process().memory_info().rss, "gpu_bytes": on_gpu}


if __name__ == "__main__":
    sys.exit(run_converter(measure_speed, sys.argv[1:]))
