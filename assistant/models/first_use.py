"""The first question on a machine: there is no model yet, so the default one is fetched, once."""

from __future__ import annotations

from assistant.config import Config
from assistant.models.progress import PullProgress, ReportPull
from assistant.models.store import ModelStore

LOCK_NAME = ".first-use"
WAIT_S = 3600.0
"""A large default model over a slow line; whoever waits is told what for."""


def ensure_active_model(store: ModelStore, config: Config, report: ReportPull) -> str:
    """Return the active model's name; where none was chosen yet, fetch the default one and choose it.

    Several processes at once fetch it once: the others wait.

    Args:
        store: The store.
        config: `models.default` names the model.
        report: Told what is going on; not at all where there is an active model.

    Raises:
        ModelError: The pointer is damaged, or the default model cannot be had.
        UsageError: `models.default` is no source.
        StorageError: There is no room.
    """
    name = store.active()
    if name is not None:
        return name
    from assistant.models.locks import hold_lock  # late: a question to a known model needs none of these
    from assistant.models.pull import pull
    from assistant.models.staging import private_root

    def waiting() -> bool:
        report(PullProgress(stage="waiting for another process that fetches the model"))
        return store.active() is not None

    lock = private_root(store.root, make=True) / LOCK_NAME
    with hold_lock(lock, "the first download", wait_s=WAIT_S, waiting=waiting):
        name = store.active()
        if name is not None:
            return name
        manifest = pull(config.models.default, store, report=report)
        store.use(manifest.name)
        return manifest.name
