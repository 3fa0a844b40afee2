"""`assistant finetune DATA...`: flags become options, stages run one after another, results are printed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, Unpack, cast

import click

from assistant.commands.help import ExampleCommand
from assistant.commands.options import number_between, whole_number_between
from finetune.command import EXAMPLES
from finetune.data_command import build as build_command

if TYPE_CHECKING:
    from finetune.run_flags import RunFlags

EPILOG = """\
\b
DATA is what `assistant finetune data build --help` says; all of its switches
hold here too. The model's name and the run's are --name.

\b
Exit codes: 0 the model is better and in service (or would be, with
--no-activate), 6 it is not better: the old one stays; 130 interrupted: the
command that goes on is printed. Others as everywhere.
"""
OWN = frozenset({"data", "name", "replace", "base", "as_json"})
"""Switches of `data build` that are defined here anew."""


export_option = click.option(
    "--export",
    multiple=True,
    metavar="WHAT",
    type=click.Choice(["merged16", "gguf"]),
    help="merged16 or gguf.",
)


@click.command("run", cls=ExampleCommand, examples=EXAMPLES, epilog=EPILOG)
@click.argument("data", nargs=-1, metavar="DATA...")
@click.option(
    "--base", default="", metavar="MODEL", help="To train: of the store, a directory or hub:org/name."
)
@click.option("--name", default="", metavar="NAME", help="Of run and model; by default as data and base.")
@click.option("--replace", is_flag=True, help="Begin a run that is there anew.")
@click.option("--preset", default="default", metavar="NAME", help="default, or reference: the article's.")
@click.option("--config", metavar="FILE", help="TOML with options of the training.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One of them.")
@click.option("--check", is_flag=True, help="Show data, cost and a preview, and end; nothing is kept.")
@click.option("--resume", is_flag=True, help="Go on with a run, named by --name or the newest.")
@export_option
@click.option("--push", default="", metavar="REPO", help="Put the model into owner/name on the hub: private.")
@click.option("--public", is_flag=True, help="Let all read what is pushed.")
@click.option("--no-activate", is_flag=True, help="Leave the active model as it is, in any case.")
@click.option(
    "--margin", metavar="X", callback=number_between(0, 1), help="NLL must fall by this share: 0.02."
)
@click.option(
    "--gate-rows", metavar="N", callback=whole_number_between(1, 100_000), help="Score so many at most: 200."
)
@click.option(
    "--gate-answers", metavar="N", callback=whole_number_between(0, 100_000), help="Answer so many: 100."
)
@click.option(
    "--gate-tokens", metavar="N", callback=whole_number_between(1, 8192), help="Of an answer at most: 256."
)
@click.option(
    "--suite", default="", metavar="SUITE", help="Solve it before and after, as `assistant evaluate` does."
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask before training.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.pass_context
def run(ctx: click.Context, /, **flags: Unpack[RunFlags]) -> int:
    """Build the data, train, merge, measure, and put the model in service if it is better."""
    # Late: `--help` needs none of it.
    from assistant.commands.messages import Messages
    from finetune.progress_line import showing_steps
    from finetune.running import Running

    given = {name for name in flags if _is_given(ctx, name)}
    messages = Messages(sys.stderr)
    with showing_steps(messages) as report:
        running = Running(cast("dict[str, Any]", flags), given, messages, report)
        result = running.check() if flags["check"] else running.run()
    from assistant.commands.output import Output

    text = json.dumps(result.document, indent=2, ensure_ascii=False) if flags["as_json"] else result.text
    Output(sys.stdout).write_text(f"{text}\n")
    return result.exit_code


run.params += [param for param in build_command.params if param.name not in OWN]


def _is_given(ctx: click.Context, name: str) -> bool:
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
