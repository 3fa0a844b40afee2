"""Every failure of a command as words on standard error and an exit code. A bug gets a log file."""

from __future__ import annotations

import errno
import sys

import click

from assistant.commands.messages import Messages
from assistant.commands.terminal import lead_nowhere
from assistant.errors import AssistantError, StorageError

BUG = 70
INTERRUPTED = 130


def report_failure(error: Exception) -> int:
    """Say what happened and return the process's exit code."""
    messages = Messages(sys.stderr)
    match error:
        case AssistantError():
            messages.report(error)
            return error.exit_code
        case click.Abort():
            return INTERRUPTED
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return error.exit_code
        case click.ClickException():
            messages.fail(error.format_message(), hint=_usage_hint(error))
            return error.exit_code
        case OSError(errno=errno.ENOSPC, filename=None):
            lead_nowhere(sys.stdout)
            messages.fail(f"cannot write to standard output: {error.strerror}")
            return StorageError.exit_code
        case _:
            return _report_bug(error, messages)


def _usage_hint(error: click.ClickException) -> str:
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return ""
    return f"see `{error.ctx.command_path} --help`"


def _report_bug(error: Exception, messages: Messages) -> int:
    from assistant.commands.crash_log import render_crash, write_crash_log

    kind = type(error).__name__
    try:
        path = write_crash_log(error)
    except AssistantError as failure:
        messages.fail(f"a bug in assistant ({kind}), and its log cannot be written: {failure}")
        for line in render_crash(error).splitlines():
            messages.fail(line)
        return BUG
    messages.fail(f"a bug in assistant ({kind}); its traceback, without your text, is in {path}")
    return BUG
