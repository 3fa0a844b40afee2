"""Which models there are, as the server sees the store. Blocks on files; knows no event loop."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assistant.errors import UnknownModelError
from assistant.models.manifest import MANIFEST_NAME
from assistant.server.refusals import RefusedError


class Manifest(Protocol):
    """What the server wants to know of a model that it has not loaded."""

    @property
    def name(self) -> str:
        """What it is called, alone in its store."""
        ...

    @property
    def prompt_format(self) -> str:
        """How it wants its prompt."""
        ...

    @property
    def created(self) -> str:
        """ISO 8601; empty where it is not known."""
        ...


class Catalog(Protocol):
    """The model store, as far as the server needs it."""

    def active(self) -> str | None:
        """The name of the model to serve, or None where none was chosen."""
        ...

    def find(self, name: str) -> Path | None:
        """The directory of a model of that name, unchecked, or None."""
        ...

    def resolve(self, name: str) -> Path:
        """The directory of a model that is whole and safe to load. May read all of it.

        Raises:
            ModelError: There is none, or it is refused.
        """
        ...

    def list_models(self) -> Sequence[Manifest]:
        """All models."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One state of a model's directory: a model made anew under its old name is another edition."""

    name: str
    stamp: tuple[int, int]
    """Inode and time of its manifest."""
    prompt_format: str


def find_active_edition(catalog: Catalog) -> Edition | None:
    """Look up what should be served, or None where no model was chosen.

    Raises:
        ModelError: The chosen model is not there.
    """
    name = catalog.active()
    return None if name is None else _build_edition(catalog, name, catalog.list_models())


def find_edition(catalog: Catalog, name: str) -> Edition:
    """Look up a model that a client named. The name is compared, and never becomes a part of a path.

    Raises:
        RefusedError: There is none of that name; the error lists the nearest.
        ModelError: It is refused.
    """
    manifests = catalog.list_models()
    names = [manifest.name for manifest in manifests]
    if name not in names:
        raise RefusedError(
            404,
            "model_not_found",
            "no model of that name is in the store",
            param="model",
            hint="`assistant models list` shows all",
            fields={"nearest": difflib.get_close_matches(name, names, n=3, cutoff=0.4)},
        )
    return _build_edition(catalog, name, manifests)


def _build_edition(catalog: Catalog, name: str, manifests: Sequence[Manifest]) -> Edition:
    directory = catalog.find(name)
    if directory is None:
        raise UnknownModelError(
            f"the active model, {name}, is not in the store", hint="`assistant models use` another"
        )
    try:
        status = (directory / MANIFEST_NAME).stat()
        stamp = (status.st_ino, status.st_mtime_ns)
    except FileNotFoundError:
        stamp = (0, 0)
    formats = {manifest.name: manifest.prompt_format for manifest in manifests}
    return Edition(name=name, stamp=stamp, prompt_format=formats.get(name, ""))
