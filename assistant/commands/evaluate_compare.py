"""`assistant evaluate compare A B`: better, same or worse, and how sure."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from assistant.commands.help import ExampleCommand
from assistant.commands.options import parse_target

WORSE = 6
EPILOG = """\
\b
A and B are names of results (`assistant evaluate` prints them), or models:
then their newest results of the same problems and sampling are meant.

\b
With one answer to each problem the exact McNemar test decides, at 5 %; with
several, the 95 % interval of the difference, problems drawn in pairs. "same"
means that no difference was shown.

\b
Exit codes: 0 better or same, 6 worse, 2 they cannot be compared.
"""


@click.command(
    "compare",
    cls=ExampleCommand,
    epilog=EPILOG,
    examples=(
        "assistant evaluate compare smollm2-135m-instruct my-model",
        "assistant evaluate compare before after --json",
    ),
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--directory", metavar="DIR", callback=parse_target, help="Where the results are kept.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def compare(first: str, second: str, *, directory: Path | None, as_json: bool) -> int:
    """Say whether B is better than A, the same or worse."""
    from assistant.commands.output import Output
    from assistant.commands.terminal import visible_text
    from assistant.evaluation.choosing import find_sides
    from assistant.evaluation.comparing import Verdict, comparison_to_json, render_comparison
    from assistant.evaluation.comparing import compare as compare_sides
    from assistant.evaluation.records import evaluations_dir

    comparison = compare_sides(*find_sides(directory or evaluations_dir(), first, second))
    if as_json:
        text = json.dumps({"schema": 1, **comparison_to_json(comparison)}, indent=2) + "\n"
    else:
        text = "".join(f"{visible_text(line)}\n" for line in render_comparison(comparison))
    Output(sys.stdout).write_text(text)
    return WORSE if comparison.verdict is Verdict.WORSE else 0
