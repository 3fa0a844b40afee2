"""`assistant history`: what was asked in the chat and with `ask`, and getting rid of it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assistant import paths
from assistant.commands.help import ExampleGroup
from assistant.commands.messages import Messages
from assistant.commands.output import Output
from assistant.commands.terminal import visible_text
from assistant.errors import UsageError

if TYPE_CHECKING:
    from assistant.history.records import Conversation, Exchange
    from assistant.history.store import History

SCHEMA = 1
SHOWN_ID_CHARS = 8
EXAMPLES = (
    "assistant history list",
    "assistant history search csv column",
    "assistant history show 3f9a",
    "assistant history export 3f9a -o answers.py",
    "assistant history delete --all",
)
EPILOG = """\
\b
A conversation is named by the beginning of its id. The newest one is meant
where ID is left out. Deleted text does not stay in the file.
"""


@click.group("history", cls=ExampleGroup, examples=EXAMPLES, epilog=EPILOG)
def history() -> None:
    """List, search, show, export and delete what was asked."""


@history.command("list")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=50, help="So many; 50 otherwise.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(limit: int, *, as_json: bool) -> None:
    """List conversations, the last changed first."""
    with _opened() as opened:
        found = opened.list_conversations(limit=limit) if opened else []
    if as_json:
        _write(json.dumps(_conversation_object(one)) for one in found)
    else:
        _write(_conversation_line(one) for one in found)


@history.command("search")
@click.argument("words", nargs=-1, required=True, metavar="WORDS")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=20, help="So many; 20 otherwise.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def search(words: tuple[str, ...], limit: int, *, as_json: bool) -> None:
    """Find exchanges that hold all WORDS, in tasks, inputs and answers."""
    with _opened() as opened:
        found = opened.search(" ".join(words), limit=limit) if opened else []
    if as_json:
        _write(json.dumps(_exchange_object(one.exchange)) for one in found)
        return
    for one in found:
        _write([_conversation_line(one.conversation), f"    {one.snippet}"])


@history.command("show")
@click.argument("name", metavar="ID", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each exchange, a line each.")
def show(name: str, *, as_json: bool) -> None:
    """Print a conversation as Markdown."""
    from assistant.history.export import render_markdown

    conversation, exchanges = _read(name)
    if as_json:
        _write(json.dumps(_exchange_object(one)) for one in exchanges)
    else:
        _write([render_markdown(conversation, exchanges)])


@history.command("export")
@click.argument("name", metavar="ID", default="")
@click.option("-o", "--output", "target", metavar="FILE", help="Write there; .py gets the code alone.")
@click.option("--python", "as_python", is_flag=True, help="The code alone, tasks as comments.")
@click.option("--force", is_flag=True, help="Let -o replace a file that exists.")
def export(name: str, target: str | None, *, as_python: bool, force: bool) -> None:
    """Write a conversation as Markdown or as Python."""
    from assistant.commands.saving import check_target, save_answer
    from assistant.history.export import render_markdown, render_python

    path = Path(target) if target else None
    if path is not None:
        check_target(path, force=force)
    conversation, exchanges = _read(name)
    is_python = as_python or (path is not None and path.suffix == ".py")
    text = render_python(exchanges) if is_python else render_markdown(conversation, exchanges)
    if path is None:
        Output(sys.stdout).write_text(text)
    else:
        save_answer(path, text, force=force)
        Messages(sys.stderr).note(f"wrote {path}")


@history.command("delete")
@click.argument("names", nargs=-1, metavar="ID")
@click.option("--all", "is_all", is_flag=True, help="Everything.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def delete(names: tuple[str, ...], *, is_all: bool, yes: bool) -> None:
    """Delete conversations. There is no way back."""
    if is_all == bool(names):
        raise UsageError("delete takes the ids of conversations, or --all")
    with _opened() as opened:
        if opened is None:
            raise UsageError("nothing is stored yet")
        chosen = [] if is_all else [_find(opened, name) for name in names]
        what = "everything" if is_all else " and ".join(f"“{visible_text(one.title)}”" for one in chosen)
        _confirm(f"delete {what}?", yes=yes)
        count = opened.delete_all() if is_all else len(chosen)
        for one in chosen:
            opened.delete(one.id)
    Messages(sys.stderr).note(f"deleted {count}")


@history.command("path")
def path() -> None:
    """Print where the history is."""
    _write([str(paths.history_path())])


@history.command("off")
def off() -> None:
    """Store nothing from now on; what is stored stays."""
    _switch("off")


@history.command("on")
def on() -> None:
    """Store what is asked from now on."""
    _switch("on")


def _switch(value: str) -> None:
    from assistant.commands.config_file import set_key

    set_key(paths.config_file(), "history.keep", value)
    Messages(sys.stderr).note(f"history.keep is {value} in {paths.config_file()}")


@contextlib.contextmanager
def _opened() -> Generator[History | None]:
    """Open the history; None where there is none, which looking does not make."""
    if not paths.history_path().exists():
        Messages(sys.stderr).note("nothing is stored yet")
        yield None
        return
    from assistant.history.store import open_history

    with open_history() as opened:
        yield opened


def _read(name: str) -> tuple[Conversation, Sequence[Exchange]]:
    with _opened() as opened:
        if opened is None:
            raise UsageError("nothing is stored yet")
        conversation = _find(opened, name)
        return conversation, opened.read_exchanges(conversation.id)


def _find(opened: History, name: str) -> Conversation:
    newest = opened.list_conversations(limit=1) if not name else []
    found = newest[0] if newest else opened.find_conversation(name)
    if found is None:
        problem = f"there is no conversation {name}" if name else "nothing is stored yet"
        raise UsageError(problem, hint="`assistant history list` shows what there is")
    return found


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("delete asks first, and nobody is there to answer", hint="--yes answers")
    click.confirm(question, abort=True, err=True)


def _write(lines: Iterable[str]) -> None:
    output = Output(sys.stdout)
    for line in lines:
        output.write_text(f"{visible_text(line) if output.screen.is_terminal else line}\n")


def _conversation_line(one: Conversation) -> str:
    title = visible_text(" ".join(one.title.split())) or "untitled"
    return f"{one.id[:SHOWN_ID_CHARS]}  {_date(one.changed)}  {one.exchanges:>3}  {title}"


def _conversation_object(one: Conversation) -> dict[str, Any]:
    return {"schema": SCHEMA, **dataclasses.asdict(one)}


def _exchange_object(one: Exchange) -> dict[str, Any]:
    return {"schema": SCHEMA, **dataclasses.asdict(one)}


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
