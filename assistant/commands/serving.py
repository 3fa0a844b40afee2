"""The doctor's look at the generator: ours or a foreign server, and what our log says last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from assistant import paths
from assistant.commands.findings import Finding, Level, render_bytes
from assistant.commands.terminal import visible_text
from assistant.config import Config
from assistant.errors import AssistantError, ConfigError
from assistant.settings import read_config

TAIL_BYTES = 4096
TAIL_LINES = 5


def check_generator() -> Iterator[Finding]:
    """Look whether a question would be answered."""
    try:
        config = read_config()
    except ConfigError:
        return  # said already, with the settings
    try:
        if config.generator.url:
            yield _check_foreign(config)
            return
        yield _check_model(config)
        yield from _check_own()
    except AssistantError as error:
        yield Finding(subject="generator", text=error.message, level=Level.FAIL, to_do=error.hint)


def _check_foreign(config: Config) -> Finding:
    from assistant.client.calls import fetch_models

    names = fetch_models(config)
    text = f"answers, with {', '.join(names[:5]) or 'no model'}"
    return Finding(subject="generator", text=text, level=Level.OK if names else Level.WARN)


def _check_model(config: Config) -> Finding:
    from assistant.models.store import ModelStore

    store = ModelStore(paths.models_dir())
    try:
        active, count = store.active(), len(store.names())
        if active is None:
            text = f"none yet; the first question fetches {config.models.default}"
            return Finding(subject="model", text=text)
        manifest = store.read_manifest(active)
    except AssistantError as error:
        return Finding(
            subject="model", text=error.message, level=Level.FAIL, to_do=error.hint or "assistant models list"
        )
    return Finding(
        subject="model",
        text=f"{active} is active, prompt format {manifest.prompt_format}; {count} in the store",
    )


def _check_own() -> Iterator[Finding]:
    from assistant.client.calls import fetch_status, find_health
    from assistant.launch import log_path

    health = find_health()
    if health is None:
        yield Finding(subject="generator", text="not running; the first question starts it")
    elif health.status in ("failed", "stuck", "silent"):
        yield Finding(
            subject="generator",
            text=f"{health.status}: {health.message or 'it does not answer'}",
            level=Level.FAIL,
            to_do=health.hint or "assistant stop",
        )
    else:
        status = fetch_status()
        yield Finding(
            subject="generator",
            text=f"{health.status}: {status.model or 'no model'} on {status.device or '?'},"
            f" {status.quantization or '?'}, {render_bytes(status.memory_bytes)}",
        )
    is_well = health is None or health.status not in ("failed", "stuck", "silent")
    lines = [] if is_well else read_tail(log_path())
    yield Finding(subject="its log", text=str(log_path()))
    for line in lines:
        yield Finding(subject="", text=line)


def read_tail(path: Path) -> list[str]:
    """Return the last lines of a log, fit for a terminal; none where there is no log."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - TAIL_BYTES))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [visible_text(line) for line in text.splitlines() if line.strip()][-TAIL_LINES:]
