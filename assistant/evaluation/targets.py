"""What is evaluated: a model of the store, or one of a foreign server; and what tells it from another."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from assistant import paths
from assistant.config import Config
from assistant.errors import ModelError
from assistant.models.store import ModelStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A model that answers."""

    name: str
    fingerprint: str
    """Another one means another model of that name; the address, for a foreign server."""
    prompt_format: str
    directory: Path | None
    """None for a foreign server's."""
    served_as: str = ""
    """As its manifest says."""


def find_target(config: Config, name: str) -> Target:
    """Find a model.

    Args:
        config: Which generator answers.
        name: Empty for the active model, or for a foreign server's first.

    Raises:
        ModelError: It is not there, or its manifest makes no sense.
        GeneratorError: The foreign server does not say what it has.
    """
    if config.generator.url:
        return _find_foreign(config, name)
    store = ModelStore(paths.models_dir())
    chosen = name or store.active()
    if chosen is None:
        raise ModelError("no model is active", hint="`assistant models pull` fetches one")
    manifest = store.read_manifest(chosen)
    hashes = {path: record.sha256 for path, record in manifest.files.items()}
    text = json.dumps([manifest.prompt_format, hashes], sort_keys=True)
    return Target(
        name=chosen,
        fingerprint=hashlib.sha256(text.encode()).hexdigest(),
        prompt_format=manifest.prompt_format,
        directory=store.get_directory(chosen),
        served_as=manifest.served_as,
    )


def _find_foreign(config: Config, name: str) -> Target:
    settings = config.generator
    chosen = name or settings.model
    if not chosen:
        from assistant.client.calls import fetch_models  # late: its library costs a while

        models = fetch_models(config)
        if not models:
            raise ModelError(f"{settings.url} lists no models", hint="name one")
        chosen = models[0]
    return Target(name=chosen, fingerprint=settings.url, prompt_format=settings.prompt_format, directory=None)
