"""Runs jobs of a loaded model and times them. Knows the engine's interface, no tensors and no prompts."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass

from assistant.engine.interface import Ended, Finished, Job, LoadedModel, Piece, Report
from assistant.requests import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One job from its submission to its end."""

    prompt_tokens: int
    cached_tokens: int
    tokens: int
    """In all of its answers."""
    first_s: float
    """Until the first token was chosen."""
    decode_s: float
    """From then to the end."""
    text: str
    """Of the first answer."""


def time_job(model: LoadedModel, ids: Sequence[int], sampling: Sampling) -> Timing:
    """Run one job alone.

    Raises:
        AssistantError: It failed.
    """
    (timing,) = time_jobs(model, [ids], sampling)
    return timing


def time_jobs(model: LoadedModel, prompts: Sequence[Sequence[int]], sampling: Sampling) -> list[Timing]:
    """Run jobs that are submitted at once, and time each.

    Args:
        model: Nothing else is asked of it meanwhile.
        prompts: Token ids of each.
        sampling: Of all of them, with a seed.

    Raises:
        AssistantError: One of them failed.
    """
    reports: queue.SimpleQueue[tuple[int, float, Report]] = queue.SimpleQueue()
    submitted: list[float] = []
    for number, ids in enumerate(prompts):

        def take(report: Report, number: int = number) -> None:
            reports.put((number, time.monotonic(), report))

        submitted.append(time.monotonic())
        model.submit(Job(ids=ids, sampling=sampling, sink=take))
    tokens, texts = [0] * len(prompts), [""] * len(prompts)
    timings: dict[int, Timing] = {}
    while len(timings) < len(prompts):
        number, now, report = reports.get()
        match report:
            case Piece():
                tokens[number] += report.tokens
                texts[number] += report.text if report.index == 0 else ""
            case Ended():
                if report.error is not None:
                    raise report.error
                timings[number] = Timing(
                    prompt_tokens=len(prompts[number]),
                    cached_tokens=report.cached_tokens,
                    tokens=tokens[number],
                    first_s=now - report.decode_s - submitted[number],
                    decode_s=report.decode_s,
                    text=texts[number],
                )
            case Finished():
                pass
    return [timings[number] for number in range(len(prompts))]
