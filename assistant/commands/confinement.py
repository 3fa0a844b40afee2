"""The doctor's look at the sandbox: which one holds on this machine, or what mends that none does."""

from __future__ import annotations

from collections.abc import Iterator

from assistant.commands.findings import Finding, Level
from assistant.errors import ConfigError, SandboxError
from assistant.settings import read_config


def check_sandbox() -> Iterator[Finding]:
    """Try the sandbox out, where that has not been done yet. Without one, code is not run; all else works."""
    from assistant.sandbox.choosing import find_sandbox

    try:
        config = read_config()
    except ConfigError:
        return  # said already, with the settings
    try:
        backend = find_sandbox(config.sandbox, keeps_verdict=False)  # a doctor changes nothing
    except SandboxError as error:
        yield Finding(subject="sandbox", text=error.message, level=Level.WARN, to_do=error.hint)
    else:
        yield Finding(subject="sandbox", text=f"{backend.name} holds against all probes")
