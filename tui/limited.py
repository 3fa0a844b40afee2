"""Puts limits on this process, then becomes a script: `python -I limited.py LIMITS SCRIPT`.

Run as a program of its own, because limits cannot be set safely between fork and exec in a program that has
threads. Imports the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys


def set_limits(limits: dict[str, int]) -> None:
    """Set resource limits by name, as `resource` names them; none that is higher than the one in force."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    for name, wanted in limits.items():
        kind = getattr(resource, name, None)
        if kind is None:
            continue
        _, hard = resource.getrlimit(kind)
        value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):  # this system does not keep that limit
            continue


def main() -> None:
    """Read the arguments and become the script."""
    set_limits(json.loads(sys.argv[1]))
    os.execv(sys.executable, [sys.executable, "-I", "-B", sys.argv[2]])


if __name__ == "__main__":
    main()
