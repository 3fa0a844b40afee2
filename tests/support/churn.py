"""Publishes, replaces, chooses and removes models in a store for ever, until it is killed at the n-th call.

python -m churn STORE SOURCE-A SOURCE-B N
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

from small_models import publish
from striking import Strike

from assistant.errors import ModelError
from assistant.models.store import ModelStore


def main(root: Path, sources: list[Path], at: int) -> None:
    store = ModelStore(root)
    strike = Strike(at, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with strike.armed():
        while True:
            publish(store, "b", sources[1], replace=True)
            store.use("b")
            publish(store, "a", sources[0], replace=True)
            store.use("a")
            store.rollback()
            store.use("a")
            with contextlib.suppress(ModelError):
                store.remove("b")
            if strike.calls > at:
                sys.exit("there was no such call")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(sys.argv[2]), Path(sys.argv[3])], int(sys.argv[4]))
