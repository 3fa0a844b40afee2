"""`assistant bench`: how fast a model answers on this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assistant.commands.help import ExampleCommand
from assistant.commands.models import complete_name
from assistant.commands.options import parse_target, whole_number_between
from assistant.errors import UsageError

if TYPE_CHECKING:
    from assistant.commands.messages import Messages
    from assistant.models.manifest import Manifest

EXAMPLES = (
    "assistant bench",
    "assistant bench my-model --plot speed.svg",
    "assistant bench --json | jq .kinds.write.tokens_per_s",
    "ASSISTANT_ENGINE_QUANTIZATION=int8 assistant bench",
)
EPILOG = """\
\b
The model is loaded in a process of its own, with your settings, beside the
generator if that runs: `assistant stop` first gives steadier numbers. Prompts
are built in: tasks alone, code to change, the third turn of a conversation.
"First token" is cold; "when warm" comes after the turns before it, or after
the same prompt. Numbers are medians. All of it takes a minute for a small
model; a large one on a CPU wants `--rounds 1 --tokens 32`.

\b
The limit is what this machine's memory lets one stream do, for each token
reads every weight; the bandwidth is measured. Several answers at once share
that reading, and code that repeats its input is guessed ahead: both can pass
the limit.

\b
Exit codes: 0 measured; 2 wrong usage; 3 no model, or it cannot be run; 5 out
of memory; 70 a bug; 74 the picture cannot be written; 130 Ctrl-C.
"""
SCHEMA = 1
TOKENS, ROUNDS = 128, 2


@click.command("bench", cls=ExampleCommand, examples=EXAMPLES, epilog=EPILOG)
@click.argument("model", default="", metavar="[MODEL]", shell_complete=complete_name)
@click.option(
    "--tokens",
    metavar="N",
    callback=whole_number_between(8, 4096),
    help=f"New tokens of each answer: {TOKENS}.",
)
@click.option(
    "--rounds", metavar="N", callback=whole_number_between(1, 100), help=f"Of all prompts: {ROUNDS}."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--plot", metavar="FILE", callback=parse_target, help="Draw the numbers as an SVG picture.")
def bench(model: str, tokens: int | None, rounds: int | None, *, as_json: bool, plot: Path | None) -> int:
    """Measure how fast a model answers here, and in how much memory.

    MODEL is a model of the store, by default the active one.
    """
    # Late: `--help` and a wrong flag need none of it.
    from assistant.commands.bench_speed import measure_model
    from assistant.commands.bench_view import render_speed, render_speed_plot
    from assistant.commands.messages import Messages
    from assistant.commands.output import Output
    from assistant.commands.saving import check_target
    from assistant.files import write_atomic

    messages = Messages(sys.stderr)
    if plot is not None:
        check_target(plot, force=True)
    directory, manifest = find_model(model, messages)
    try:
        speed = measure_model(
            directory,
            manifest,
            max_tokens=tokens or TOKENS,
            rounds=rounds or ROUNDS,
            report=messages.show_status,
        )
    finally:
        messages.show_status("")
    if plot is not None:
        write_atomic(plot, render_speed_plot(speed).encode())
        messages.note(f"wrote {plot}")
    if as_json:
        text = json.dumps({"schema": SCHEMA, **speed.to_json()}, indent=2)
    else:
        text = "\n".join(render_speed(speed))
    Output(sys.stdout).write_text(text + "\n")
    return 0


def find_model(name: str, messages: Messages) -> tuple[Path, Manifest]:
    """Find a model of the store; the first one is fetched if there is none.

    Args:
        name: Empty for the active one.
        messages: Where fetching is shown.

    Raises:
        UsageError: A foreign server answers, and no model is named.
        ModelError: It is not there.
    """
    from assistant import paths
    from assistant.commands.first_model import ensure_model
    from assistant.errors import ModelError
    from assistant.models.store import ModelStore
    from assistant.settings import read_config

    config = read_config()
    if config.generator.url and not name:
        raise UsageError(
            f"{config.generator.url} answers, and only models of the store can be measured",
            hint="name one: `assistant models list`",
        )
    ensure_model(config, name, messages)
    store = ModelStore(paths.models_dir())
    chosen = name or store.active()
    if chosen is None:
        raise ModelError("no model is active", hint="`assistant models pull` fetches one")
    return store.resolve(chosen), store.read_manifest(chosen)
