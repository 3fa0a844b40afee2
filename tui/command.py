"""`assistant chat`, and `assistant` alone on a terminal: opens the chat. Textual is imported last of all."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from assistant.drafts import Draft, DraftKeeper
from tui.terminal import check_terminal, give_keyboard_back, guarded_screen, is_stdin_terminal


@click.command("chat", epilog="Example: git diff | assistant chat")
@click.option("--input-file", metavar="PATH", help="Begin with this file as the input; - for standard input.")
def chat(input_file: str | None) -> int:
    """Open the chat in this terminal; `assistant` alone does the same.

    What is piped in becomes the input.
    """
    check_terminal()
    draft = _read_draft(input_file)
    if not is_stdin_terminal():
        give_keyboard_back()
    with guarded_screen():
        return _run(draft)


def _read_draft(input_file: str | None) -> Draft:
    from assistant.commands.input_text import STDIN, STDIN_NAME, Sources, read_sources
    from assistant.commands.messages import Messages

    sources = Sources(task="chat", input_file=input_file)  # there has to be one; it is typed later
    if input_file is None and is_stdin_terminal():
        return Draft()
    _, text = read_sources(sources, sys.stdin, Messages(sys.stderr))
    name = STDIN_NAME if input_file in (None, STDIN) else Path(input_file or "").name
    return Draft(input=text, input_name=name if text else "")


def _run(draft: Draft) -> int:
    from assistant.history.recorder import Recorder
    from assistant.history.store import open_history
    from assistant.settings import read_config
    from tui import readiness
    from tui.app import ChatApp
    from tui.keys import parse_keymap
    from tui.running import build_runner
    from tui.services import Services
    from tui.verifying import SandboxVerifier

    config = read_config(project_from=_find_directory())
    keeps = config.history.keep == "on"
    recorder = Recorder(lambda error: app.report_history(error))
    services = Services(
        config=config,
        find_generator=readiness.Generators(config).find,
        open_store=open_history if keeps else None,
        save=recorder.save if keeps else lambda _: None,
        forget=recorder.forget,
        keymap=parse_keymap(config.chat.keys),
        keeper=DraftKeeper(),
        prepare=readiness.build_prepare(config),
        list_models=lambda: readiness.list_models(config),
        use_model=lambda name: readiness.use_model(config, name),
        runner=build_runner(config.sandbox, timeout_s=config.chat.run_timeout_s),
        verifier=SandboxVerifier(config) if config.sandbox.projects == "on" else None,
        draft=draft,
    )
    app = ChatApp(services)
    try:
        code = app.run()
    finally:
        app.close()
        recorder.close()
    return code if code is not None else app.return_code or 0


def _find_directory() -> Path | None:
    """Return the directory we are in; None where it has been removed."""
    try:
        return Path.cwd()
    except OSError:
        return None
