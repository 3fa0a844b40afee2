"""A suite's problems as rows that a model answers, and what running the answers shows. Loads no model."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.evaluation.answers import Score
from assistant.evaluation.problems import Problem
from assistant.evaluation.scoring import Judge, build_suite, run_suite
from assistant.evaluation.statistics import mcnemar_p
from assistant.evaluation.suites import LoadedSuite, load_suite
from assistant.settings import read_config
from finetune.examples import Example, Place
from finetune.gate.measures import Context, RowResult, count_changes, normalize_code
from finetune.gate.measuring import Candidate, HeldOut, MeasureModel
from finetune.progress import Report, Step
from finetune.rundir import write_json_lines

SUITE_NAME = "suite.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSuite:
    """Problems that both models answer, and who judges the answers."""

    loaded: LoadedSuite
    judge: Judge
    sandbox: str
    """The backend's name."""
    trained_on: int = 0
    """So many problems were left out because they are among the training rows."""


def open_suite(text: str) -> GateSuite:
    """Read a suite and find a sandbox to run answers in.

    Args:
        text: What the user calls it, as `assistant evaluate --suite` takes it.

    Raises:
        UsageError: It is none, or cannot be used.
        SandboxError: Nothing can be run here.
    """
    from assistant.judging.judge import judge  # late: most runs have no suite
    from assistant.sandbox.choosing import find_sandbox

    loaded = load_suite(text)
    for problem in loaded.problems:
        build_suite(problem)  # what is wrong with a test is said before hours of training
    sandbox = find_sandbox(read_config().sandbox)
    return GateSuite(
        loaded=loaded,
        judge=lambda code, suite: judge(code, suite, sandbox=sandbox),
        sandbox=sandbox.name,
    )


def leave_out(suite: GateSuite, trained: Collection[Example], context: Context) -> GateSuite:
    """Return a suite without the problems that are among the training rows.

    Args:
        suite: As it was read.
        trained: The training rows.
        context: Has their code.
    """
    tasks = {example.task.strip() for example in trained}
    inputs = {example.input.strip() for example in trained}
    problems = suite.loaded.problems
    kept = tuple(
        problem
        for problem in problems
        # What is to be completed stands in the input; its task is the same for all.
        if not (problem.input.strip() in inputs if problem.prompt else problem.task.strip() in tasks)
        and not (problem.solution and normalize_code(problem.solution) in context.trained_code)
    )
    loaded = dataclasses.replace(suite.loaded, problems=kept)
    return dataclasses.replace(suite, loaded=loaded, trained_on=len(problems) - len(kept))


def solve_suite(
    suite: GateSuite,
    candidates: Sequence[Candidate],
    like: HeldOut,
    max_new_tokens: int,
    directory: Path,
    report: Report,
    measure: MeasureModel,
) -> dict[str, list[RowResult]]:
    """Let models answer a suite's problems, run the answers, and keep both in the stage's directory.

    Returns:
        For each model's name a result for each problem, which tells nothing but whether it is solved.

    Raises:
        AssistantError: A model cannot be run, nothing can be run in a sandbox, or the disk is full.
    """
    problems, name = suite.loaded.problems, suite.loaded.name
    if not problems:
        return {candidate.name: [] for candidate in candidates}
    rows = build_rows(problems, like, name)
    replies: dict[str, list[RowResult]] = {}
    scores: dict[str, dict[str, Score]] = {}
    solved: dict[str, list[RowResult]] = {}
    for candidate in candidates:
        report(Step(stage=f"solving {name} with {candidate.name}"))
        results = measure(candidate, rows, max_new_tokens, directory, report)
        report(Step(stage=f"running the answers of {candidate.name}"))
        replies[candidate.name] = results
        solved[candidate.name], scores[candidate.name] = judge_answers(problems, results, suite.judge)
    write_json_lines(directory / SUITE_NAME, list_answers(problems, replies, scores))
    return solved


def build_rows(problems: Sequence[Problem], like: HeldOut, source: str) -> HeldOut:
    """Return problems as rows that are answered."""
    examples = tuple(
        Example(
            task=problem.task,
            input=problem.input,
            code=problem.solution or "pass\n",  # scored on the way; nothing looks at that
            place=Place(file=source, row=number, unit="row"),
        )
        for number, problem in enumerate(problems, start=1)
    )
    rows: tuple[dict[str, Any], ...] = tuple(
        {"task": one.task, "input": one.input, "code": one.code, "ask": True} for one in examples
    )
    return dataclasses.replace(like, examples=examples, rows=rows)


def judge_answers(
    problems: Sequence[Problem], results: Sequence[RowResult], judge: Judge
) -> tuple[list[RowResult], dict[str, Score]]:
    """Run the answers, and return them as results that tell nothing but whether they pass.

    Raises:
        SandboxError: Nothing can be run.
    """
    pairs = list(zip(problems, results, strict=True))
    scores = run_suite(problems, {problem.id: result.reply or "" for problem, result in pairs}, judge)
    judged = [
        RowResult(example=result.example, nats=0.0, tokens=0, right=0, passed=scores[problem.id].passed)
        for problem, result in pairs
    ]
    return judged, scores


def list_answers(
    problems: Sequence[Problem],
    replies: Mapping[str, Sequence[RowResult]],
    scores: Mapping[str, Mapping[str, Score]],
) -> list[dict[str, Any]]:
    """Return what each model answered to each problem, and how it was judged."""
    return [
        {
            "problem": problem.id,
            **{
                name: {
                    "reply": results[number].reply,
                    "passed": scores[name][problem.id].passed,
                    "error": scores[name][problem.id].error,
                }
                for name, results in replies.items()
            },
        }
        for number, problem in enumerate(problems)
    ]


def describe_suite(
    suite: GateSuite, before: Sequence[RowResult], after: Sequence[RowResult]
) -> dict[str, Any]:
    """Return what the gate's record says of it."""
    gained, lost = count_changes(before, after)
    return {
        "name": suite.loaded.name,
        "source": suite.loaded.source,
        "sha256": suite.loaded.sha256,
        "problems": len(suite.loaded.problems),
        "trained_on": suite.trained_on,
        "sandbox": suite.sandbox,
        "gained": gained,
        "lost": lost,
        "p": mcnemar_p(gained, lost),
    }


def render_suite(suite: Mapping[str, Any]) -> str:
    """Return the line that says which problems were solved, from the gate's record."""
    line = f"{suite['name']}: {suite['problems']} problems, judged in {suite['sandbox']}"
    if suite["problems"]:
        line += f"; {suite['gained']} gained, {suite['lost']} lost, exact McNemar p = {suite['p']:.3g}"
    if suite["trained_on"]:
        line += f"; {suite['trained_on']} more are among the training rows and left out"
    return line
