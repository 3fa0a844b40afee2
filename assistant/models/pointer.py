"""`active.json`: which model is the active one and which were before it. The store's only mutable file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from assistant.errors import ModelError
from assistant.files import write_atomic
from assistant.models.documents import parse_json, read_capped
from assistant.models.names import is_model_name

SCHEMA = 1
POINTER_NAME = "active.json"
MAX_POINTER_BYTES = 64 * 1024
MAX_PREVIOUS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """The active model and those before it, the latest first."""

    active: str
    previous: tuple[str, ...] = ()

    def moved_to(self, name: str) -> Pointer:
        """Return the pointer after another model was chosen."""
        others = [old for old in (self.active, *self.previous) if old != name]
        return Pointer(active=name, previous=tuple(dict.fromkeys(others))[:MAX_PREVIOUS])

    def moved_back_to(self, name: str) -> Pointer:
        """Return the pointer after going back to one of the previous models."""
        return Pointer(active=name, previous=self.previous[self.previous.index(name) + 1 :])


def read_pointer(root: Path) -> Pointer | None:
    """Read a store's pointer, or return None where none was written yet.

    Raises:
        ModelError: It makes no sense; the hint says how to repair it.
    """
    path = root / POINTER_NAME
    if not path.is_symlink() and not path.exists():
        return None
    try:
        document = parse_json(read_capped(path, MAX_POINTER_BYTES), str(path))
        return _build_pointer(document)
    except (ModelError, ValueError) as error:
        raise ModelError(
            f"{path} does not say which model is active: {error}",
            hint="`assistant models use NAME` writes it anew; `assistant models list` shows the names",
        ) from error


def write_pointer(root: Path, pointer: Pointer) -> None:
    """Replace a store's pointer at once.

    Raises:
        StorageError: It could not be written, or not be made to last. It is the old one or the new one.
    """
    document = {"schema": SCHEMA, "active": pointer.active, "previous": list(pointer.previous)}
    write_atomic(root / POINTER_NAME, (json.dumps(document) + "\n").encode(), mode=0o600)


def _build_pointer(document: Any) -> Pointer:
    values = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    if values.get("schema") != SCHEMA:
        raise ValueError(f"its schema is not {SCHEMA}")
    active, previous = values.get("active"), values.get("previous")
    if not isinstance(active, str) or not is_model_name(active):
        raise ValueError("its active is no model's name")
    if not isinstance(previous, list):
        raise ValueError("its previous is no list")
    names = cast("list[Any]", previous)
    if not all(isinstance(name, str) and is_model_name(name) for name in names):
        raise ValueError("its previous holds something else than names of models")
    return Pointer(active=active, previous=tuple(names[:MAX_PREVIOUS]))
