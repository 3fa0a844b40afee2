"""What running an answer's tests is worth: `python bench/verified.py MBPP.jsonl [--limit N] [--json]`.

Of each problem's three tests, two are shown to the model and used to choose among its answers; the third is
kept back, and says whether what was chosen is right. Counted for the likeliest answer alone, for the best of
`--candidates`, and for that with a repair round. Without a repair is what a verification has before it
repairs, so that all three come from the same answers.

The generator is the one that the configuration selects, with its active model. A row that is done is a line
of the results file; the next start goes on behind it. A results file belongs to one model: name another for
another.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.answers import collect_answer
from assistant.client import create_generator
from assistant.generator import TextGenerator
from assistant.judging.interface import Suite
from assistant.judging.judge import judge
from assistant.judging.suites import build_assert_suite
from assistant.replies import Code, extract_code
from assistant.requests import Request, Sampling, build_task_request
from assistant.sandbox.choosing import find_sandbox
from assistant.sandbox.interface import Backend
from assistant.settings import read_config
from assistant.verifying import Candidate, Effort, Verification, Verified
from assistant.verifying.candidates import choose_best

SHOWN = 2
"""Tests that the model sees and that choose; the next one judges."""
WAYS = ("likeliest", "verified", "repaired")
MAX_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One row of MBPP."""

    number: int
    task: str
    shown: tuple[str, ...]
    kept: str
    setup: str

    @property
    def request(self) -> Request:
        """What the model is asked."""
        return build_task_request(self.task, "\n".join(self.shown), sampling=Sampling(max_tokens=MAX_TOKENS))


def read_problems(path: Path, rows: slice) -> list[Problem]:
    """Read some lines of MBPP."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [parse_problem(json.loads(line)) for line in lines[rows]]


def parse_problem(row: Mapping[str, Any]) -> Problem:
    """Take a problem from its line."""
    tests = [str(test).replace("\r\n", "\n") for test in row["test_list"]]
    if len(tests) <= SHOWN:
        raise SystemExit(f"task {row['task_id']} has {len(tests)} tests, and {SHOWN + 1} are needed")
    return Problem(
        number=int(row["task_id"]),
        task=str(row["text"]).replace("\r\n", "\n"),
        shown=tuple(tests[:SHOWN]),
        kept=tests[SHOWN],
        setup=str(row.get("test_setup_code") or "").replace("\r\n", "\n"),
    )


class Bench:
    """Measures one problem after the other.

    Args:
        generator: Who answers.
        sandbox: Where answers run.
        effort: How much is tried.
    """

    def __init__(self, generator: TextGenerator, sandbox: Backend, effort: Effort) -> None:
        self._generator = generator
        self._sandbox = sandbox
        self._effort = effort

    def measure(self, problem: Problem) -> dict[str, Any]:
        """Return one line of the results."""
        shown = build_assert_suite(problem.shown, problem.setup)
        kept = build_assert_suite([problem.kept], problem.setup)
        began = time.monotonic()
        verified = self._verify(problem.request, shown)
        seconds = time.monotonic() - began
        if verified.error is not None and not verified.is_verified:
            raise verified.error
        first = [candidate for candidate in verified.candidates if not candidate.is_repair]
        likeliest = next((each.code for each in first if each.number == 0), None)
        asked_alone = likeliest is None  # another had passed before it ended
        likeliest = likeliest or self._ask(problem.request)
        best = choose_best(first)
        codes = {
            "likeliest": likeliest,
            "verified": best.code if best is not None else likeliest,
            "repaired": verified.chosen.code if verified.chosen is not None else likeliest,
        }
        return {
            "task_id": problem.number,
            "model": verified.model,
            "likeliest_asked_alone": asked_alone,
            "tried": len(verified.candidates),
            "seconds": round(seconds, 2),
            **{f"{way}_passes_shown": self._passes(code, shown) for way, code in codes.items()},
            **{f"{way}_passes_kept": self._passes(code, kept) for way, code in codes.items()},
            "outcome": _describe(verified.chosen),
        }

    def _verify(self, request: Request, suite: Suite) -> Verified:
        verification = Verification(
            request,
            suite,
            generator=self._generator,
            judge=judge,
            sandbox=self._sandbox,
            effort=self._effort,
        )
        *_, last = verification
        assert isinstance(last, Verified)
        return last

    def _ask(self, request: Request) -> Code:
        answer = collect_answer(self._generator.stream(request))
        if answer.error is not None:
            raise answer.error
        return extract_code(answer.text) if answer.text.strip() else Code(text="")

    def _passes(self, code: Code, suite: Suite) -> bool:
        return bool(code.text.strip()) and judge(code.text, suite, sandbox=self._sandbox).has_passed


def _describe(chosen: Candidate | None) -> str:
    if chosen is None:
        return "nothing was written"
    if not chosen.has_passed:
        return "none passed"
    return "repaired" if chosen.is_repair else "likeliest" if chosen.number == 0 else "sampled"


def read_results(path: Path) -> dict[int, dict[str, Any]]:
    """Read the rows that are done; a last line that a kill cut in two is none."""
    done: dict[int, dict[str, Any]] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            done[int(row["task_id"])] = row
    return done


def append_result(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row that is done, on a line of its own whatever was cut off before it."""
    content = path.read_bytes() if path.exists() else b""
    start = "" if content.endswith(b"\n") or not content else "\n"
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{start}{json.dumps(row)}\n")


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rates of a number of rows."""
    count = len(rows)
    rates = {way: sum(bool(row[f"{way}_passes_kept"]) for row in rows) / count for way in WAYS}
    lost = [
        row["task_id"] for row in rows if row["likeliest_passes_kept"] and not row["repaired_passes_kept"]
    ]
    return {
        "model": rows[0]["model"],
        "rows": count,
        "pass_rate": {way: round(rate, 4) for way, rate in rates.items()},
        "times_the_likeliest": {
            way: round(rates[way] / rates["likeliest"], 3) if rates["likeliest"] else None for way in WAYS[1:]
        },
        "passes_shown": {way: sum(bool(row[f"{way}_passes_shown"]) for row in rows) for way in WAYS},
        "right_before_and_wrong_after": lost,
        "outcomes": {
            outcome: sum(row["outcome"] == outcome for row in rows)
            for outcome in sorted({row["outcome"] for row in rows})
        },
        "tried_mean": round(sum(row["tried"] for row in rows) / count, 2),
        "minutes": round(sum(row["seconds"] for row in rows) / 60, 1),
    }


def main() -> int:
    """Measure what is not measured yet, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("mbpp", type=Path, help="MBPP as JSON lines")
    parser.add_argument(
        "--rows", default="10:110", help="which lines, as a slice; 10:110 are tasks 11 to 110"
    )
    parser.add_argument("--limit", type=int, help="so many of them at most")
    parser.add_argument("--candidates", type=int, default=8, help="answers at once, the likeliest among them")
    parser.add_argument("--repairs", type=int, default=4, help="answers of the repair round")
    parser.add_argument("--temperature", type=float, default=Effort().temperature, help="of sampled answers")
    parser.add_argument(
        "--results", type=Path, default=Path("verified-mbpp.jsonl"), help="rows that are done"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    options = parser.parse_args()
    start, _, stop = options.rows.partition(":")
    problems = read_problems(options.mbpp, slice(int(start or 0), int(stop) if stop else None))[
        : options.limit
    ]
    config = read_config()
    effort = Effort(candidates=options.candidates, repairs=options.repairs, temperature=options.temperature)
    bench = Bench(create_generator(config), find_sandbox(config.sandbox), effort)
    done = read_results(options.results)
    for place, problem in enumerate(problems, start=1):
        if problem.number in done:
            continue
        row = bench.measure(problem)
        append_result(options.results, row)
        done[problem.number] = row
        if not options.json:
            kept = " ".join(f"{way} {'✓' if row[f'{way}_passes_kept'] else '·'}" for way in WAYS)
            print(
                f"{place}/{len(problems)} task {problem.number}: {kept} · {row['seconds']:.0f} s", flush=True
            )
    summary = summarize([done[problem.number] for problem in problems])
    print(json.dumps(summary, indent=None if options.json else 2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
