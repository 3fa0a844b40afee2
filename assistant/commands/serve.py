"""`assistant serve`, `status` and `stop`: the shared generator's process, seen from the command line."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from assistant.commands.help import ExampleCommand
from assistant.errors import GeneratorError

if TYPE_CHECKING:
    from assistant.client.calls import Status

STOP_HINT = "`assistant stop` ends it"


@click.command("serve", cls=ExampleCommand, examples=("assistant serve --tcp 127.0.0.1:8080",))
@click.option(
    "--tcp",
    metavar="HOST:PORT",
    help="Listen there as well, for other OpenAI clients: 127.0.0.1:8080. They need the token.",
)
@click.option(
    "--allow-remote",
    is_flag=True,
    help="Let --tcp name an address that other machines can reach. Nothing is encrypted.",
)
def serve(tcp: str | None, *, allow_remote: bool) -> int:
    """Run the generator in this terminal.

    There is no need to: the first question starts it in the background. Here its log is seen, and it can
    listen on TCP. Ctrl-C ends it.
    """
    from assistant import paths
    from assistant.client.calls import find_health
    from assistant.client.stopping import find_server_pid
    from assistant.settings import read_config

    config = read_config()
    if find_health() is not None:
        raise GeneratorError(
            f"a generator is running already, as process {find_server_pid()}", hint=STOP_HINT
        )
    from assistant.server import run  # the web server costs half a second: only here
    from assistant.server.listening import parse_tcp_place

    if tcp:
        parse_tcp_place(tcp, allow_remote=allow_remote)  # before anything is said of listening there
    click.echo(f"socket: {paths.socket_path()}", err=True)
    if tcp:
        click.echo(f"address for other OpenAI clients: http://{tcp}/v1", err=True)
    click.echo(f"every request needs the token in {paths.token_path()}; Ctrl-C ends this", err=True)
    return run.serve(config, tcp=tcp, allow_remote=allow_remote, foreground=True)


@click.command("status", cls=ExampleCommand, examples=("assistant status --json",))
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def status(*, as_json: bool) -> None:
    """Say what the generator does.

    Exits with 3 when none runs.
    """
    from assistant import paths
    from assistant.client.calls import fetch_status, find_health
    from assistant.client.stopping import find_server_pid
    from assistant.commands.output import Output
    from assistant.settings import read_config

    url = read_config().generator.url
    if url:
        click.echo(f"note: questions go to {url} (generator.url); this is our own generator", err=True)
    health = find_health()
    if health is None:
        raise GeneratorError(
            "no generator is running", hint="the next question starts it, or `assistant serve`"
        )
    if health.status == "silent":
        raise GeneratorError(f"the generator, process {find_server_pid()}, does not answer", hint=STOP_HINT)
    output = Output(sys.stdout)
    answer = fetch_status()
    if as_json:
        import dataclasses

        fields = dataclasses.asdict(answer) | {"socket": str(paths.socket_path())}
        output.write_text(json.dumps(fields, indent=2) + "\n")
        return
    now = time.time()
    output.write_text(render_status(answer, socket=str(paths.socket_path()), now=now, problem=health.message))


@click.command("stop", cls=ExampleCommand, examples=("assistant stop",))
def stop() -> None:
    """End the generator.

    The answers it is giving are cut off. One that hangs is ended by force after some seconds. It is no error
    when none runs.
    """
    from assistant.client.stopping import Stopped, stop_running

    words = {
        Stopped.NOT_RUNNING: "no generator is running",
        Stopped.ASKED: "the generator has ended",
        Stopped.TERMINATED: "the generator did not end by itself and was terminated",
        Stopped.KILLED: "the generator hung and was killed",
    }
    click.echo(words[stop_running()], err=True)


def render_status(status: Status, *, socket: str, now: float, problem: str = "") -> str:
    """Lay out a status for reading, one line a row.

    Args:
        status: What the generator said.
        socket: Where it was asked.
        now: Seconds since the epoch, to count its uptime to.
        problem: Why it cannot answer; empty where it can.
    """
    speed = "-" if status.tokens_per_s is None else f"{status.tokens_per_s:.1f} tokens/s"
    memory = "" if not status.memory_bytes else f", {status.memory_bytes / 2**30:.2f} GiB"
    rows = [
        ("state", f"{status.state or '-'}{': ' + problem if problem else ''}"),
        ("model", f"{status.model or '-'} ({status.prompt_format or '-'})"),
        ("device", f"{status.device or '-'}, {status.quantization or '-'}{memory}"),
        ("context", f"{status.context_tokens or '-'} tokens"),
        ("answering", f"{status.active_sequences} of {status.slots or '-'} slots, {status.waiting} waiting"),
        ("answered", f"{status.answered}, {speed}"),
        ("up", f"{render_duration(now - status.started)}, process {status.pid}, version {status.version}"),
        ("listening", ", ".join(status.transports) or socket),
        ("idle", _render_idle(status)),
    ]
    if status.swap_error:
        rows.append(("swap", f"the chosen model is not in service: {status.swap_error}"))
    return "".join(f"{name:<10} {text}\n" for name, text in rows)


def render_duration(seconds: float) -> str:
    """Write a duration in its two largest units."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    units = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((place for place, (count, _) in enumerate(units) if count), len(units) - 1)
    return " ".join(f"{count} {unit}" for count, unit in units[first : first + 2] if count) or "0 s"


def _render_idle(status: Status) -> str:
    unload = (
        f"unloads after {render_duration(status.idle_unload_s)}" if status.idle_unload_s else "never unloads"
    )
    leave = f"ends after {render_duration(status.idle_exit_s)}" if status.idle_exit_s else "never ends"
    return f"{unload}, {leave}"
