"""What a form costs in quality: `python bench/quality.py MBPP.jsonl [--model NAME] [--rows 0:974] [--json]`.

The NLL of MBPP's reference solutions as answers to their tasks, with the weights as they are (bfloat16), in
int8 and in int4, each in turn, by the engine that serves. What is served should be worse by 3 % at most.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from assistant import paths
from assistant.config import with_value
from assistant.engine.loading import load_parts
from assistant.engine.measure import score_row
from assistant.models.store import ModelStore
from assistant.prompts import CHAT
from assistant.settings import read_config

FORMS = ("none", "int8", "int4")
FORMAT = "python-task"
"""In which tasks are put where the model's own is a chat template, which scores no reply."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("mbpp", type=Path, help="MBPP as JSON lines")
    parser.add_argument("--model", default="", help="of the store; the active one by default")
    parser.add_argument("--rows", default="0:974", help="which lines, as a slice")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    store = ModelStore(paths.models_dir())
    name = options.model or store.active()
    if name is None:
        parser.error("the store has no active model: name one with --model")
    start, _, stop = options.rows.partition(":")
    lines = options.mbpp.read_text(encoding="utf-8").splitlines()[
        int(start or 0) : int(stop) if stop else None
    ]
    found = {form: measure_form(store, name, form, [json.loads(line) for line in lines]) for form in FORMS}
    report = {
        "model": name,
        "rows": len(lines),
        "served_as": store.read_manifest(name).served_as or "int4",
        "nll": {form: round(nll, 4) for form, nll in found.items()},
        "worse_by": {form: round(nll / found["none"] - 1, 4) for form, nll in found.items()},
    }
    print(json.dumps(report, indent=None if options.json else 2))
    return 0


def measure_form(store: ModelStore, name: str, form: str, rows: list[dict[str, Any]]) -> float:
    """Return the NLL, nats per token, of all solutions together."""
    manifest = store.read_manifest(name)
    config = with_value(read_config(), "engine.quantization", form, "the benchmark")
    parts = load_parts(store.resolve(name), name, manifest.prompt_format, config, lambda _: None)
    prompt_format = FORMAT if manifest.prompt_format == CHAT else manifest.prompt_format
    nats, tokens = 0.0, 0
    for number, row in enumerate(rows, start=1):
        asked = {"task": row["text"], "input": "\n".join(row["test_list"]), "code": row["code"]}
        scored = score_row(parts, prompt_format, asked)
        nats, tokens = nats + scored["nats"], tokens + scored["tokens"]
        if number % 50 == 0:
            print(f"{name} as {form}: {number} of {len(rows)} rows", file=sys.stderr, flush=True)
    return nats / tokens


if __name__ == "__main__":
    raise SystemExit(main())
