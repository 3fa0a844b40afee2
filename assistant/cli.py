"""The edge of the command line: dispatch a command, turn every failure into words and an exit code.

Imports nothing that a run may not need: `assistant --version` should cost little more than Python itself.
Knows no command; those are in `assistant.commands`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from assistant import __version__

INTERRUPTED = 130
BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit code.

    Args:
        arguments: What follows the program's name; by default what the process was started with.
    """
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] - closed by `>&-`
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        from assistant.commands.terminal import lead_nowhere

        lead_nowhere(sys.stdout)
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the process edge: whatever it is, it is reported
        from assistant.commands.failures import report_failure

        return report_failure(error)
    return code


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"assistant {__version__}")  # noqa: T201 - the answer
        return 0
    from assistant.commands.group import run_group

    return run_group(arguments)
