"""The same engines on larger models with random weights: one of a billion parameters, and a slice of 7B."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.speed.engines import HF, LLAMA_CPP, ORT, Field, ModelPlace, build_ours, find_engines
from bench.speed.figures import HF_NF4, OURS, find_ratio, find_speeds
from bench.speed.random_llama import LLAMA_2_7B, ONE_B, write_random_llama
from bench.speed.rounds import Match
from bench.speed.running import read_memory

SHAPES: Mapping[str, Mapping[str, Any]] = {
    "1b": ONE_B,
    "llama_2_7b_2_layers": {**LLAMA_2_7B, "num_hidden_layers": 2},
}
MAX_TOKENS = 48
PROMPT_FORMAT = "python-task"
"""It needs no chat template."""
BASE_BYTES = 300 * 10**6
"""What Python and torch may take beside weights and cache."""
Q4_0 = f"{LLAMA_CPP} Q4_0"


def measure_large(
    model: ModelPlace, cache: Path, without: Collection[str], rounds: int, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Return, by shape, decoding against Q4_0 and HF nf4, and memory against what it may be.

    Args:
        model: Whose tokenizer the random models have.
        cache: Where they are kept.
        without: Families that are left out.
        rounds: How many.
        tell: Told what goes on.

    Raises:
        UnavailableError: Ours cannot be loaded.
    """
    return {
        name: _measure_shape(name, shape, model, cache, without, rounds, tell)
        for name, shape in SHAPES.items()
    }


def _measure_shape(
    name: str, shape: Mapping[str, Any], model: ModelPlace, cache: Path, without: Collection[str],
    rounds: int, tell: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    directory = cache / "models" / f"random-{name}"
    if not (directory / "config.json").is_file():
        tell(f"writing a random model {name}")
        write_random_llama(directory, shape, tokenizer=model.directory)
    place = ModelPlace(directory=directory, prompt_format=PROMPT_FORMAT, served_as="")
    field = find_engines(place, cache, {*without, ORT}, tell, forms=("Q4_0",))
    # Answers of a random model repeat themselves: what guesses ahead would look good without any merit.
    settings = {"engine.slots": 1, "engine.context_tokens": 2048}
    ours = replace(build_ours(place, settings), generate={"lookup_is_on": False})
    field.engines = [ours, *(one for one in field.engines if one.name in (HF_NF4, Q4_0))]
    match = Match(field, cache, MAX_TOKENS, tell)
    with match.started():
        memory = read_memory(match.ours.pid)
        prompts = match.encode({"write": [[{"role": "user", "text": "Write a sort.", "input": ""}]]})
        match.warm_up(prompts[0])
        for number in range(rounds):
            match.run_round(number, prompts)
        memory["now"] = read_memory(match.ours.pid).get("now", 0)
    mine = find_speeds(match.samples, OURS, "write")
    return {
        "decode_vs_llama_cpp_q4_0": find_ratio(mine, find_speeds(match.samples, Q4_0, "write")),
        "decode_vs_hf_nf4": find_ratio(mine, find_speeds(match.samples, HF_NF4, "write")),
        **build_memory(memory, match.loaded[OURS]),
        **_explain(field),
    }


def build_memory(memory: Mapping[str, int], loaded: Mapping[str, Any]) -> dict[str, float | None]:
    """Compare main memory with what it may be; below 1 is within it.

    Args:
        memory: `peak` while loading and `now`, after answers, in bytes; empty where it is unknown.
        loaded: What ours said when it was loaded.
    """
    if not memory.get("now") or not memory.get("peak"):
        return {"peak_vs_final": None, "final_vs_allowed": None}
    cache = loaded["model_bytes"] - loaded["token_bytes"]
    allowed = 1.5 * loaded["token_bytes"] + cache + BASE_BYTES
    return {
        "peak_vs_final": memory["peak"] / memory["now"],
        "final_vs_allowed": memory["now"] / allowed,
    }


def _explain(field: Field) -> dict[str, Any]:
    reasons = {name: why for name, why in field.unavailable.items() if name not in (ORT, HF)}
    return {"not_available": reasons} if reasons else {}
