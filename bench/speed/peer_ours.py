# pyright: basic
"""Our own engine, as the generator runs it, for the benchmarks; without its server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from assistant.config import Config, with_value
from assistant.engine import loading, lookup
from assistant.engine.bandwidth import measure_bandwidth
from assistant.engine.batch import BatchedModel
from assistant.engine.loading import load_parts
from assistant.engine.timing import time_job, time_jobs
from assistant.requests import Role, Sampling, Turn
from assistant.settings import read_config

LOOKUP_TOKENS = lookup.LONGEST


class Peer:
    """One loaded model."""

    _model: BatchedModel

    def load(
        self, directory: str, prompt_format: str, served_as: str = "", settings: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Load a model.

        Args:
            directory: Its own.
            prompt_format: As in its manifest.
            served_as: As in its manifest.
            settings: By `section.key`; the user's for all others.
        """
        config: Config = read_config()
        for name, value in (settings or {}).items():
            config = with_value(config, name, value, "the benchmark")
        parts = load_parts(
            Path(directory), "bench", prompt_format, config, lambda _: None, served_as=served_as
        )
        self._model = parts.start("bench")
        return {
            "quantization": self._model.quantization,
            "device": self._model.device,
            "model_bytes": self._model.memory_bytes,
            "token_bytes": parts.network.token_bytes,
            "decode_threads": max(parts.placement.decode_threads),
            "prefill_threads": parts.placement.prefill_threads,
        }

    def encode(self, turns: list[dict[str, str]]) -> list[int]:
        """Return a conversation's token ids."""
        return self._model.encode_turns([Turn(**{**turn, "role": Role(turn["role"])}) for turn in turns])

    def generate(
        self,
        ids: list[int],
        max_tokens: int,
        *,
        lookup_is_on: bool = True,
        earlier: list[int] | None = None,
        n: int = 1,
        temperature: float = 0.0,
    ) -> dict[str, Any]:
        """Answer one prompt cold, or after an earlier one; guarded, as it is served."""
        self._model.forget_prompts()
        sampling = self._sampling(max_tokens, lookup_is_on)
        if earlier is not None:
            time_job(self._model, earlier, replace(sampling, max_tokens=1))
        return asdict(time_job(self._model, ids, replace(sampling, n=n, temperature=temperature)))

    def generate_together(self, prompts: list[list[int]], max_tokens: int) -> list[dict[str, Any]]:
        """Answer prompts that come at once."""
        self._model.forget_prompts()
        timings = time_jobs(self._model, prompts, self._sampling(max_tokens, lookup_is_on=True))
        return [asdict(timing) for timing in timings]

    def describe_machine(self) -> dict[str, Any]:
        """Return what torch says of the processor, and how fast memory is read with all of its threads."""
        torch.set_num_threads(loading.usable_cores())
        return {
            "torch": str(torch.__version__),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "cores": loading.usable_cores(),
            "bandwidth_bytes_per_s": measure_bandwidth(torch.device("cpu")),
        }

    def close(self) -> None:
        """Give the memory back."""
        self._model.close()

    def _sampling(self, max_tokens: int, lookup_is_on: bool) -> Sampling:
        # An answer without guesses is what the other must be the same as; users have no switch for it.
        lookup.LONGEST = LOOKUP_TOKENS if lookup_is_on else 0
        return Sampling(max_tokens=max_tokens, seed=0, syntax_guard=True)


def build_random_prompt(vocabulary: int, length: int) -> Sequence[int]:
    """Return token ids in which nothing repeats soon."""
    return [1 + (number * 7919) % (vocabulary - 1) for number in range(length)]
