"""`python -m assistant.server`: what a front end starts when no generator runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from assistant.errors import AssistantError
from assistant.server.run import serve
from assistant.settings import read_config


def main(arguments: list[str] | None = None) -> int:
    """Run a server; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m assistant.server", description=__doc__)
    parser.add_argument("--tcp", metavar="HOST:PORT", help="listen there as well")
    parser.add_argument("--allow-remote", action="store_true", help="let --tcp name any address")
    parser.add_argument("--foreground", action="store_true", help="write the log to standard error as well")
    parser.add_argument("--scripted", type=Path, metavar="FILE", help="serve a scripted model")
    options = parser.parse_args(arguments)
    try:
        return serve(
            read_config(),
            tcp=options.tcp,
            allow_remote=options.allow_remote,
            foreground=options.foreground,
            scripted=options.scripted,
        )
    except AssistantError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        sys.stderr.write(f"error: {error.message}{hint}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
