"""`assistant finetune data`: build, inspect, preview. Flags become options; the work is elsewhere."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Unpack

import click

from assistant.commands.help import ExampleGroup
from assistant.commands.options import number_between, whole_number_between
from assistant.commands.terminal import ColorChoice, find_screen

if TYPE_CHECKING:
    from assistant.commands.messages import Messages
    from finetune.base import Base
    from finetune.build_flags import BuildFlags
    from finetune.rundir import RunDir

BUILD_EXAMPLES = (
    "assistant finetune data build pairs.jsonl 'more.csv[:1000]'",
    "assistant finetune data build mbpp.jsonl --map instruction=text,input=test_list",
    "assistant finetune data build hub:org/name --split 'train[:10%]'",
    "assistant finetune data build src/ --name my-code",
)
FORMATS = ("python-task", "python-task-es", "python-task-2023")

EPILOG = """\
\b
DATA is a file (.jsonl .ndjson .json .csv .tsv .parquet), a folder of Python
code (parsed, never imported) or hub:org/name. A file may end with a slice of
its rows: 'data.jsonl[600:974]', 'data.jsonl[:10%]'.

\b
Always left out, with place and reason in the report: what holds a secret,
duplicates and near duplicates, rows that cannot be read. Rows that are
held out share no function and no near code with the others, and no file
where none holds most of the rows.

\b
Everything stays in the run's directory, which only you can enter.
"""


@click.group(
    "data",
    cls=ExampleGroup,
    examples=BUILD_EXAMPLES[:1],
    context_settings={"help_option_names": ["-h", "--help"]},
)
def data() -> None:
    """Build, inspect and preview training data."""


@data.command("build", examples=BUILD_EXAMPLES, epilog=EPILOG)
@click.argument("data", nargs=-1, required=True, metavar="DATA...")
@click.option("--name", default="", metavar="NAME", help="What to call the run; by default as its data.")
@click.option("--replace", is_flag=True, help="Build the data of a run that is there anew.")
@click.option("--base", default="", metavar="MODEL", help="The model to train: of the store, or a directory.")
@click.option(
    "--map", "maps", multiple=True, metavar="PART=COLUMN,...", help="instruction=..., input=..., output=..."
)
@click.option("--split", default="train", metavar="SPLIT", help="Of data sets: train, or 'train[:10%]'.")
@click.option("--encoding", default="utf-8", metavar="NAME", help="Of text files.")
@click.option("--skip-bad", is_flag=True, help="Leave out rows whose syntax is broken; else they stop it.")
@click.option(
    "--eval", "held_out", multiple=True, metavar="DATA", help="Measure with these rows; none is chosen then."
)
@click.option(
    "--eval-share",
    metavar="X",
    callback=number_between(0, 0.5),
    help="0 to 0.5; of the rows, to hold out: 0.05.",
)
@click.option(
    "--seed", metavar="N", callback=whole_number_between(0, 2**31), help="Another one holds out other rows."
)
@click.option(
    "--benchmark",
    "benchmarks",
    multiple=True,
    metavar="DATA",
    help="Problems that must not be learnt either.",
)
@click.option("--no-decontaminate", is_flag=True, help="Keep problems of HumanEval and MBPP's test split.")
@click.option("--keep-unparsable", is_flag=True, help="Keep rows whose code is not Python.")
@click.option(
    "--max-dropped",
    metavar="X",
    callback=number_between(0, 1),
    help="0 to 1; stop if a larger share of rows is faulty or too long: 0.2.",
)
@click.option(
    "--prompt-format",
    metavar="FORMAT",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    help=f"{', '.join(FORMATS[:2])} or {FORMATS[2]}.",
)
@click.option(
    "--max-tokens",
    metavar="N",
    callback=whole_number_between(64, 1_048_576),
    help="Of a row; by default 2048, or what the model reads.",
)
@click.option(
    "--on-long",
    metavar="WHAT",
    type=click.Choice(["drop", "truncate", "error"]),
    default="drop",
    help="drop longer rows, truncate their input, or error.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def build(**flags: Unpack[BuildFlags]) -> None:
    """Read, clean, divide and tokenize data."""
    # Late: `--help` needs none of it.
    from assistant.commands.messages import Messages
    from assistant.commands.output import Output
    from finetune.build_flags import build_prepare_options, build_tokenize_options
    from finetune.building import build_data
    from finetune.progress_line import showing_steps
    from finetune.reporting import build_summary, render_summary

    messages = Messages(sys.stderr)
    prepare, tokenize = build_prepare_options(flags), build_tokenize_options(flags)
    run = _choose_run(flags)
    base = _choose_base(flags["base"], messages)
    try:
        with showing_steps(messages) as report:
            built = build_data(run, base, prepare, tokenize, report)
    except KeyboardInterrupt:
        messages.tell(f"interrupted; what the run {run.name} had before is as it was")
        raise
    summary = build_summary(run, built.prepared, built.tokens)
    if flags["as_json"]:
        Output(sys.stdout).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    else:
        Output(sys.stdout).write_text("\n".join(render_summary(summary)) + "\n")


def _complete_run(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from finetune.rundir import find_runs

    return [name for name in find_runs() if name.startswith(incomplete)]


run_argument = click.argument("run", metavar="RUN", shell_complete=_complete_run)


@data.command(
    "inspect",
    examples=("assistant finetune data inspect my-code", "assistant finetune data inspect my-code --rejects"),
)
@run_argument
@click.option("--rejects", is_flag=True, help="Every row that was left out, with place and reason.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --rejects one a line.")
def inspect(run: str, *, rejects: bool, as_json: bool) -> None:
    """Show what a run's data is and what was left out."""
    from assistant.commands.output import Output
    from finetune.reporting import find_summary, read_rejects, render_reject, render_summary
    from finetune.rundir import open_run

    found = open_run(run)
    if rejects:
        rows = read_rejects(found)
        lines = [json.dumps(row, ensure_ascii=False) if as_json else render_reject(row) for row in rows]
    elif as_json:
        lines = [json.dumps(find_summary(found), indent=2, ensure_ascii=False)]
    else:
        lines = list(render_summary(find_summary(found)))
    Output(sys.stdout).write_text("".join(f"{line}\n" for line in lines))


@data.command("preview", examples=("assistant finetune data preview my-code -n 5",))
@run_argument
@click.option(
    "-n", "count", metavar="N", callback=whole_number_between(1, 1000), help="So many rows; by default 3."
)
@click.option("--eval", "is_eval", is_flag=True, help="Rows that are held out.")
@click.option("--seed", metavar="N", callback=whole_number_between(0, 2**31), help="Choose other rows.")
@click.option(
    "--color",
    metavar="WHEN",
    type=click.Choice([choice.value for choice in ColorChoice]),
    default=ColorChoice.AUTO.value,
    help="auto, always or never.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON array: each token, and whether it is learnt.")
def preview(
    run: str, *, count: int | None, is_eval: bool, seed: int | None, color: str, as_json: bool
) -> None:
    """Show rows as the model sees them, what is learnt in green."""
    from assistant.commands.messages import Messages
    from assistant.commands.output import Output
    from finetune.base import load_tokenizer
    from finetune.preview import build_views, render_views, views_to_json
    from finetune.reporting import find_tokenizer_dir
    from finetune.rows import EVAL, TRAIN
    from finetune.rundir import open_run

    found = open_run(run)
    directory = find_tokenizer_dir(found)
    messages = Messages(sys.stderr)
    messages.show_status("loading the tokenizer …")
    tokenizer = load_tokenizer(directory)
    messages.show_status("")
    views = build_views(
        found, EVAL if is_eval else TRAIN, tokenizer, count=count or 3, seed=0 if seed is None else seed
    )
    output = Output(sys.stdout, find_screen(sys.stdout, ColorChoice(color)))
    if as_json:
        output.write_text(json.dumps(views_to_json(views), indent=2, ensure_ascii=False) + "\n")
    else:
        output.write_text("\n".join(render_views(views, has_color=output.screen.has_color)) + "\n")


def _choose_run(flags: BuildFlags) -> RunDir:
    from finetune.rundir import new_run
    from finetune.sources import suggest_run_name

    return new_run(flags["name"], suggestion=suggest_run_name(flags["data"][0]), replace=flags["replace"])


def _choose_base(name: str, messages: Messages) -> Base:
    from assistant.commands.first_model import ensure_model
    from assistant.settings import read_config
    from finetune.base import find_base

    if not name:
        ensure_model(read_config(), name, messages)
    base = find_base(name)
    messages.tell(
        f"base model: {base.name}, {'as asked' if name else 'the active one; --base names another'}"
    )
    return base
