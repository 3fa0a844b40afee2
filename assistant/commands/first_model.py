"""Before a question to our own generator: is there a model at all? If not, fetch the default one.

A model that is there costs the reading of one small file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assistant import paths
from assistant.commands.messages import Messages
from assistant.config import Config
from assistant.models.pointer import read_pointer

if TYPE_CHECKING:
    from assistant.models.progress import PullProgress

BAR_WIDTH = 24


def ensure_model(config: Config, model: str, messages: Messages) -> None:
    """Make sure that the store has an active model, unless another one is asked for.

    Args:
        config: `generator.url` names a server that brings its own; `models.default` is fetched.
        model: What `--model` names; empty for the active one.
        messages: Where the fetching is shown.

    Raises:
        AssistantError: The store is damaged, or the model cannot be fetched.
    """
    store_dir = paths.models_dir()
    if config.generator.url or model or read_pointer(store_dir) is not None:
        return
    from assistant.models.first_use import ensure_active_model  # late: all that fetching needs
    from assistant.models.store import ModelStore

    progress = FetchProgress(messages, config.models.default)
    try:
        name = ensure_active_model(ModelStore(store_dir), config, progress.report)
    finally:
        messages.show_status("")
    progress.end(name)


class FetchProgress:
    """Shows how the first model is fetched: a bar on a terminal, one line at each end elsewhere.

    Args:
        messages: Where it is shown.
        source: What is fetched.
    """

    def __init__(self, messages: Messages, source: str) -> None:
        self._messages = messages
        self._source = source
        self._has_begun = False

    def report(self, step: PullProgress) -> None:
        """Show the next step."""
        if not self._has_begun:
            self._has_begun = True
            self._messages.tell(f"there is no model yet: fetching {self._source}, this once")
        bar = "" if step.fraction is None else f" {render_bar(step.fraction)}"
        self._messages.show_status(f"{step.stage}{bar}")

    def end(self, name: str) -> None:
        """Say what there is now, if there was anything to do."""
        if self._has_begun:
            self._messages.tell(f"{name} is ready")


def render_bar(fraction: float) -> str:
    """Draw a fraction as a bar of ASCII, which every terminal has, with the number beside it."""
    fraction = min(max(fraction, 0), 1)
    filled = round(fraction * BAR_WIDTH)
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {fraction:4.0%}"
