"""`assistant finetune merge` and `push`: the stages after training, by themselves."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from assistant.commands.help import ExampleCommand
from assistant.commands.models import complete_name
from finetune.data_command import run_argument
from finetune.run_command import export_option


@click.command(
    "merge",
    cls=ExampleCommand,
    examples=("assistant finetune merge my-code", "assistant finetune merge my-code --export merged16"),
)
@run_argument
@click.option("--base", default="", metavar="MODEL", help="What it was trained on, where that was moved.")
@click.option("--name", default="", metavar="NAME", help="Of the model in the store.")
@export_option
@click.option("--activate", is_flag=True, help="Put it in service if it is better.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def merge(run: str, *, base: str, name: str, export: tuple[str, ...], activate: bool, as_json: bool) -> int:
    """Merge a run's adapter into its base, measure the model, put it into the store.

    Exits with 6 if it is not better than what it was made from.
    """
    from assistant.commands.messages import Messages
    from assistant.commands.output import Output
    from finetune.base import find_base
    from finetune.exporting import export_model
    from finetune.pipeline import FinishOptions, finish_run
    from finetune.progress_line import showing_steps
    from finetune.rundir import open_run
    from finetune.running import build_result
    from finetune.tokenizing import STAGE as TOKENS

    found = open_run(run)
    model = find_base(base or str(found.read_record(TOKENS)["base"]["name"]))
    with showing_steps(Messages(sys.stderr)) as report:
        finished = finish_run(found, model, FinishOptions(name=name, activate=activate), report)
        exported = [export_model(found, model, finished.name, what, report) for what in dict.fromkeys(export)]
    result = build_result(found, finished, exported, None)
    text = json.dumps(result.document, indent=2, ensure_ascii=False) if as_json else result.text
    Output(sys.stdout).write_text(f"{text}\n")
    return result.exit_code


@click.command(
    "push",
    cls=ExampleCommand,
    examples=("assistant finetune push my-model owner/my-model",),
)
@click.argument("model", metavar="MODEL", shell_complete=complete_name)
@click.argument("repository", metavar="REPO")
@click.option("--public", is_flag=True, help="Let all read it; else a new repository is private.")
@click.option("--check", is_flag=True, help="Only see whether it may be pushed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def push(model: str, repository: str, *, public: bool, check: bool, as_json: bool) -> None:
    """Put a model into a repository of the hub.

    MODEL is one of the store, or a directory that holds one. Weights as
    safetensors, configuration, tokenizer, template, card and licence go there;
    nothing else does. The token is HF_TOKEN of the environment.
    """
    from assistant.commands.messages import Messages
    from assistant.commands.output import Output
    from finetune.base import find_base
    from finetune.progress_line import showing_steps
    from finetune.pushing import choose_files, prepare_push, push_model

    directory = find_base(model).directory
    with showing_steps(Messages(sys.stderr)) as report:
        if check:
            user = prepare_push(repository, public=public)
            document: dict[str, Any] = {
                "repository": repository,
                "user": user,
                "files": choose_files(directory),
            }
            text = f"{user} may write to {repository}: {', '.join(document['files'])}"
        else:
            pushed = push_model(directory, repository, public=public, report=report)
            document = {"repository": pushed.repository, "commit": pushed.commit, "url": pushed.url}
            document["files"] = list(pushed.files)
            text = pushed.url
    Output(sys.stdout).write_text(f"{json.dumps(document, indent=2) if as_json else text}\n")
