# pyright: basic
"""A peer as a process: `python child.py MODULE` answers JSON lines on standard input with JSON lines.

`{"do": METHOD, "with": {…}}` calls a method of the module's `Peer`; the answer is `{"result": …}`, or
`{"error": …}`. MODULE is a file beside this one. It runs under the peer's own Python, which may know neither
this project nor its libraries. Standard output is the channel's alone: what libraries print goes to
standard error.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def load_peer(module: str) -> Any:
    """Import a peer's module by its file, and make its `Peer`."""
    specification = importlib.util.spec_from_file_location(module, HERE / f"{module}.py")
    assert specification is not None
    assert specification.loader is not None
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded.Peer()


def answer(peer: Any, line: str) -> dict[str, Any]:
    """Do what a line asks for. Whatever goes wrong is the answer: the caller says what it means."""
    try:
        asked = json.loads(line)
        return {"result": getattr(peer, asked["do"])(**asked.get("with", {}))}
    except Exception as error:  # noqa: BLE001 - the process edge
        return {"error": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Answer until standard input ends."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    peer: Any = None
    for line in sys.stdin:
        if peer is None:
            try:
                peer = load_peer(sys.argv[1])
            except Exception as error:  # noqa: BLE001 - the process edge
                print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=channel, flush=True)
                continue
        print(json.dumps(answer(peer, line)), file=channel, flush=True)


if __name__ == "__main__":
    main()
