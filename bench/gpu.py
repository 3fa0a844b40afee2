# pyright: basic
"""Decoding 7B on a GPU: tokens a second of one stream, ours and `generate` on bitsandbytes' nf4.

    python bench/gpu.py [--layers 32] [--rounds 5] [--tokens 128] [--json]
    python bench/gpu.py --shape small --device cpu

Offline and within ten minutes: the model is random, of Llama-2-7B's shape, written once to a temporary
directory (13.5 GB). Both sides are loaded in one process and answer by turns; medians are printed, with the
share of the memory's measured bandwidth that reading the weights takes. Nothing is guessed ahead: answers of
a random model repeat themselves, which would be to our good. Ours decodes by CUDA graphs; a warning on
stderr says so where they could not be captured. The small shape is a check of this program itself; its
numbers mean nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.speed.random_llama import LLAMA_2_7B, SMALL, write_random_llama

PROMPT_TOKENS = 128


def measure(directory: Path, device: str, tokens: int, rounds: int) -> dict[str, Any]:
    """Load both sides and let them answer by turns."""
    import torch

    from assistant.engine.bandwidth import measure_bandwidth
    from bench.speed import peer_hf, peer_ours

    bandwidth = measure_bandwidth(torch.device(device))
    theirs, ours = peer_hf.Peer(), peer_ours.Peer()
    _load("hf", lambda: theirs.load(str(directory), "nf4", device))
    settings = {"engine.device": device, "engine.quantization": "nf4", "engine.slots": 1}
    settings |= {"engine.context_tokens": 2048}
    loaded = _load("ours", lambda: ours.load(str(directory), "python-task", settings=settings))
    vocabulary = json.loads((directory / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    ids = list(peer_ours.build_random_prompt(vocabulary, PROMPT_TOKENS))
    found: dict[str, list[dict[str, Any]]] = {"hf": [], "ours": []}
    for number in range(rounds + 1):
        one = {
            "hf": theirs.generate(ids, tokens),
            "ours": ours.generate(ids, tokens, lookup_is_on=False),
        }
        if number:  # the first of each warms up
            for side, timing in one.items():
                found[side].append(timing)
    ours.close()
    return summarize(found, bandwidth, loaded["token_bytes"])


def summarize(found: dict[str, list[dict[str, Any]]], bandwidth: float, token_bytes: int) -> dict[str, Any]:
    """Return the medians, their ratio, and the shares of the bandwidth.

    Args:
        found: The timings of each side, round by round.
        bandwidth: Bytes a second.
        token_bytes: Of the weights, for one token.
    """
    speeds = {side: [(one["tokens"] - 1) / one["decode_s"] for one in runs] for side, runs in found.items()}
    pairs = zip(speeds["ours"], speeds["hf"], strict=True)
    limit = bandwidth / token_bytes
    sides = {
        side: {
            "tokens_per_s": statistics.median(values),
            "first_token_s": statistics.median(one["first_s"] for one in found[side]),
            "bandwidth_share": statistics.median(values) / limit,
        }
        for side, values in speeds.items()
    }
    return {
        **sides,
        "decode_ratio": statistics.median(mine / other for mine, other in pairs),
        "bandwidth_bytes_per_s": bandwidth,
        "limit_tokens_per_s": limit,
    }


def _load(side: str, load: Any) -> dict[str, Any]:
    started = time.monotonic()
    loaded = load()
    print(f"{side}: loaded in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return loaded


def main() -> None:
    """Write the model, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=["llama-2-7b", "small"], default="llama-2-7b")
    parser.add_argument("--layers", type=int, help="of 32; fewer for a smaller card")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    asked = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    from assistant.engine.memory import release_memory

    if asked.device == "cuda" and not torch.cuda.is_available():
        sys.exit("there is no CUDA GPU here: nothing was measured")
    shape = dict(SMALL if asked.shape == "small" else LLAMA_2_7B)
    if asked.layers:
        shape["num_hidden_layers"] = asked.layers
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as name:
        write_random_llama(Path(name), shape, device=asked.device)
        release_memory()
        found = measure(Path(name), asked.device, asked.tokens, asked.rounds)
    where = torch.cuda.get_device_name(0) if asked.device == "cuda" else "cpu"
    found |= {"device": where, "shape": asked.shape, "layers": shape["num_hidden_layers"]}
    if asked.json:
        print(json.dumps(found, indent=2))
        return
    print(f"{where}, {asked.shape}, {shape['num_hidden_layers']} layers, nf4")
    for side in ("hf", "ours"):
        one = found[side]
        print(
            f"{side:<6}{one['tokens_per_s']:>9.1f} tokens/s,"
            f" first token {one['first_token_s'] * 1000:.0f} ms, {one['bandwidth_share']:.1%} of"
            " the bandwidth limit"
        )
    print(
        f"ours is {found['decode_ratio']:.2f} times as fast; the limit is {found['limit_tokens_per_s']:.0f}"
        f" tokens/s at {found['bandwidth_bytes_per_s'] / 1e9:.0f} GB/s"
    )


if __name__ == "__main__":
    main()
