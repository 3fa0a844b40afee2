"""The real generator, brought up before it is needed: a model in the store, the process, its model loaded.

Everything heavy is imported in the functions: the first picture needs none of it. Knows no Textual.
"""

from __future__ import annotations

import threading

from assistant import paths
from assistant.config import Config
from assistant.errors import ModelError
from assistant.generator import TextGenerator
from assistant.models.pointer import read_pointer
from assistant.requests import Loading
from tui.services import Prepare
from tui.streaming import Report

POLL_S = 0.4


class Generators:
    """Finds the generator that a configuration selects, and makes it once.

    Args:
        config: The settings.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._generator: TextGenerator | None = None

    def find(self, report: Report) -> TextGenerator:
        """Return the generator; where our own has no model yet, fetch one first.

        Raises:
            AssistantError: There is none.
        """
        ensure_model(self._config, report)
        with self._lock:
            if self._generator is None:
                from assistant.client import create_generator

                self._generator = create_generator(self._config)
            return self._generator


def build_prepare(config: Config) -> Prepare:
    """Return what brings the generator of a configuration up."""

    def prepare(report: Report, cancelled: threading.Event) -> str:
        if config.generator.url:
            return config.generator.model
        ensure_model(config, report)
        from assistant.launch import ensure_running

        ensure_running(config, report, cancelled=cancelled)
        return _wait_until_loaded(report, cancelled)

    return prepare


def ensure_model(config: Config, report: Report) -> None:
    """Fetch the default model where our own generator has none; the reading of a small file where it has.

    Raises:
        AssistantError: It cannot be fetched.
    """
    if config.generator.url or read_pointer(paths.models_dir()) is not None:
        return
    from assistant.models.first_use import ensure_active_model
    from assistant.models.store import ModelStore

    report(Loading(stage=f"fetching {config.models.default}, this once"))
    ensure_active_model(
        ModelStore(paths.models_dir()),
        config,
        lambda step: report(Loading(stage=step.stage, fraction=step.fraction)),
    )


def list_models(config: Config) -> list[str]:
    """Name the models to choose from: the store's, or those of the server in the configuration.

    Raises:
        AssistantError: They cannot be listed.
    """
    if config.generator.url:
        from assistant.client.calls import fetch_models

        return fetch_models(config)
    from assistant.models.store import ModelStore

    return ModelStore(paths.models_dir()).names()


def use_model(config: Config, name: str) -> str:
    """Make a model the active one, as `assistant models use` does; return what to put into requests.

    Another server's model is named in each request; our own generator loads the active one.

    Raises:
        AssistantError: It cannot be used.
    """
    if config.generator.url:
        return name
    from assistant.models.store import ModelStore

    ModelStore(paths.models_dir()).use(name)
    return ""


def _wait_until_loaded(report: Report, cancelled: threading.Event) -> str:
    """Report how far the loading is; return the model's name."""
    from assistant.client.calls import fetch_status, find_health

    while not cancelled.is_set():
        health = find_health()
        if health is None or health.status in ("stuck", "silent"):
            return ""  # the first task says what is wrong with it
        if health.status == "failed":
            raise ModelError(health.message or "the model could not be loaded", hint=health.hint)
        if health.status != "loading":
            return fetch_status().model
        report(Loading(stage=health.stage or "loading the model", fraction=health.fraction))
        cancelled.wait(POLL_S)
    return ""
