"""What a sandbox costs: a run of an empty program in each backend, beside the same without any.

    python bench/sandbox.py [--rounds 100] [--json]

Rounds go through all of them in turn, so that a busy minute of the machine meets each alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable

from assistant.config import SandboxSettings
from assistant.sandbox.choosing import build_candidates, find_fault
from assistant.sandbox.interface import Backend, Job, Limits
from assistant.sandbox.plans import read_interpreter

Run = Callable[[], object]


def run_bare() -> None:
    """Start Python as a sandbox does, with nothing around it."""
    program = str(read_interpreter().program)
    subprocess.run([program, "-I", "-S", "-c", "pass"], check=True)


def build_run(backend: Backend) -> Run:
    """A whole run in a sandbox."""
    return lambda: backend.start(Job(source="pass"), Limits()).wait()


def measure(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each run of each kind."""
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            found[name].append((time.perf_counter() - began) * 1000)
    return found


def summarize(times: list[float]) -> dict[str, float]:
    """Median, 95th percentile and the longest, in milliseconds."""
    cuts = statistics.quantiles(times, n=20)
    return {
        "median_ms": round(statistics.median(times), 1),
        "p95_ms": round(cuts[-1], 1),
        "max_ms": round(max(times), 1),
    }


def main() -> None:
    """Measure every backend that works here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    runs: dict[str, Run] = {"bare": run_bare}
    for backend in build_candidates(SandboxSettings()):
        fault = find_fault(backend)
        if not fault:
            runs[backend.name] = build_run(backend)
        elif not options.as_json:
            print(f"{backend.name}: {fault}")
    found = {name: summarize(times) for name, times in measure(runs, options.rounds).items()}
    if options.as_json:
        print(json.dumps({"rounds": options.rounds, "runs": found}))
        return
    for name, row in found.items():
        print(f"{name:<12}" + "".join(f"{key} {value:7.1f}   " for key, value in row.items()))


if __name__ == "__main__":
    main()
