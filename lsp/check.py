"""`assistant lsp --check`: what an editor would get, told to a person at a terminal.

Starts no generator and asks no model; knows no protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import click

from assistant.errors import UsageError
from lsp.actions.catalog import read_actions
from lsp.actions.interface import View
from lsp.actions.registry import ActionSet
from lsp.mirror import Mirror
from lsp.parsing import parses
from lsp.positions import PositionEncoding, Span

MAX_LINES = 2000
"""Of a longer file, only the beginning is gone through."""


def run_check(file: str) -> int:
    """Say what would happen in an editor.

    Args:
        file: A Python file to say it of, or the empty string.

    Returns:
        The exit code: 0 where everything is ready, 2 where one of the user's own actions cannot be used.

    Raises:
        UsageError: The file cannot be read.
        AssistantError: The configuration cannot be used.
    """
    actions = read_actions()
    for line in (*_describe_generator(), f"actions    {', '.join(actions.names)}"):
        click.echo(line)
    for complaint in actions.complaints:
        click.echo(f"warning: {complaint}", err=True)
    if file:
        for line in describe_file(Path(file), actions):
            click.echo(line)
    return UsageError.exit_code if actions.complaints else 0


def describe_file(path: Path, actions: ActionSet) -> Iterator[str]:
    """Say of each line of a file what a menu opened there would offer.

    Raises:
        UsageError: It cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: byte {error.start}") from error
    mirror = Mirror(uri=path.absolute().as_uri(), version=0, text=text, encoding=PositionEncoding.UTF16)
    lines = mirror.snapshot.lines
    count = lines.line_at(len(text)) + 1
    yield f"file       {path}, {count} lines, {'parses' if parses(text) else 'does not parse'}"
    offered = ((number, _offers_at(mirror, number, path, actions)) for number in range(min(count, MAX_LINES)))
    for titles, group in groupby(offered, key=lambda entry: entry[1]):
        numbers = [number for number, _ in group]
        if titles:
            yield f"{_line_range(numbers):<10} {' · '.join(titles)}"
    if count > MAX_LINES:
        yield f"(the lines after {MAX_LINES} were not looked at)"


def _offers_at(mirror: Mirror, line: int, path: Path, actions: ActionSet) -> tuple[str, ...]:
    snapshot = mirror.snapshot
    content = snapshot.lines.content(line)
    written = snapshot.text[content.start : content.end]
    if not written.strip():
        return ()
    cursor = content.start + len(written) - len(written.lstrip())
    view = View(
        snapshot=snapshot, tree=mirror.tree, selection=Span(start=cursor, end=cursor), path=path.absolute()
    )
    return tuple(offer.title for offer in actions.offer(view))


def _line_range(numbers: list[int]) -> str:
    first, last = numbers[0] + 1, numbers[-1] + 1
    return f"line {first}" if first == last else f"{first}-{last}"


def _describe_generator() -> Iterator[str]:
    from assistant.settings import read_config

    config = read_config(project_from=Path.cwd())
    if config.generator.url:
        yield f"generator  {config.generator.url} (generator.url)"
        return
    from assistant.client.calls import fetch_status, find_health  # 0.1 s of HTTP client: only here

    if find_health() is None:
        yield "generator  not running; the first action starts it"
        return
    status = fetch_status()
    yield f"generator  {status.state}: {status.model or 'no model'} on {status.device or 'no device'}"
