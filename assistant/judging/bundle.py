"""What runs inside the sandboxes, packed so that it need not be compiled or looked for there."""

from __future__ import annotations

import functools
import marshal
import sys
from pathlib import Path

MODULES = (
    "wire", "values", "decoding", "handles", "operations", "crossing", "peer", "candidate",
    "referee", "examples", "cases",
)  # fmt: skip
"""In the order in which they import each other."""

BOOTSTRAP = """
import marshal, os, sys
channel = int(sys.argv[1])
def read(size):
    pieces = []
    while size:
        piece = os.read(channel, size)
        if not piece:
            os._exit(1)
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)
version, modules = marshal.loads(read(int.from_bytes(read(5)[1:], "big")))
for name, source, code in modules:
    module = sys.modules[name] = type(sys)(name)
    exec(marshal.loads(code) if version == sys.version else compile(source, name, "exec"), module.__dict__)
sys.argv[:] = [""]
module.main(channel)
"""
"""Reads the first frame, which is the bundle, and runs its last module's `main`."""


@functools.cache
def build_bundle(last: str) -> bytes:
    """Pack the modules up to the one that is to run."""
    here = Path(__file__).parent
    packed: list[tuple[str, str, bytes]] = []
    for stem in MODULES[: MODULES.index(last) + 1]:
        name = f"{__package__}.{stem}"
        source = (here / f"{stem}.py").read_text(encoding="utf-8")
        packed.append((name, source, marshal.dumps(compile(source, name, "exec", dont_inherit=True))))
    return marshal.dumps((sys.version, packed))
