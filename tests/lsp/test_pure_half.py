from __future__ import annotations

import subprocess
import sys

FORBIDDEN = ("pygls", "lsprotocol", "torch", "transformers", "textual", "rich", "httpx2", "assistant.engine")
CODE = """
import sys
from lsp.actions import catalog, interface
from lsp.mirror import Mirror
from lsp.positions import PositionEncoding, Span
mirror = Mirror(uri="u", version=1, text="def f(x):\\n    return x\\n", encoding=PositionEncoding.UTF16)
view = interface.View(snapshot=mirror.snapshot, tree=mirror.tree, selection=Span(start=0, end=0))
actions = catalog.build_actions()
plan = actions.prepare(actions.offer(view)[0], view, 1000, len)
actions.finish(plan, "def f(x):\\n    return 1\\n", mirror.since(mirror.snapshot))
print(*sorted(name for name in sys.modules if name.startswith(%r)))
"""


def test_actions_need_no_protocol_and_no_model() -> None:
    code = CODE % (FORBIDDEN,)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
