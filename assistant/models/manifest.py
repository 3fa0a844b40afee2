"""A model's manifest: what it is, where it came from, and the sha256 of every file of it.

Knows neither the store nor any download.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from assistant.config import CPU_FORMS, PROMPT_FORMATS
from assistant.errors import ModelError
from assistant.files import write_atomic
from assistant.models.documents import parse_json, read_capped
from assistant.models.names import is_inner_path, is_model_name

SCHEMA = 1
MANIFEST_NAME = "manifest.json"
MAX_MANIFEST_BYTES = 4 * 1024 * 1024

Metric = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """What one file must be."""

    sha256: str
    """64 lower-case hexadecimal digits."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a model is. `files` and `created` may be left out of one that is about to be published."""

    name: str
    source: str
    """Where it came from, as `assistant models pull` takes it; or `finetune:` and the run."""
    prompt_format: str
    """How it wants to be asked: one of `assistant.config.PROMPT_FORMATS`."""
    base: str = ""
    """The model that this one was made from, or empty."""
    base_revision: str = ""
    """Which state of it: a commit of a repository, `sha256:` and the hash of a file."""
    quantization: str = "none"
    """How the base was quantised while this one was trained."""
    served_as: str = ""
    """The smallest of `assistant.config.CPU_FORMS` that keeps what it has learnt; empty where all do."""
    license: str = ""
    """As an SPDX identifier, where it is known."""
    created: str = ""
    """ISO 8601, in UTC."""
    metrics: Mapping[str, Metric] = field(default_factory=dict[str, Metric])
    """What was measured when it was made."""
    files: Mapping[str, FileRecord] = field(default_factory=dict[str, FileRecord])
    """By path inside the directory, the manifest itself left out."""
    schema: int = SCHEMA


def now_utc() -> str:
    """The time, as manifests write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of a model's directory.

    Raises:
        ModelError: There is none, or it makes no sense.
    """
    path = directory / MANIFEST_NAME
    if not path.is_symlink() and not path.exists():
        raise ModelError(f"{directory} has no {MANIFEST_NAME}", hint="fetch the model again")
    return parse_manifest(read_capped(path, MAX_MANIFEST_BYTES), str(path))


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write a manifest into a model's directory.

    Raises:
        StorageError: It could not be written.
    """
    write_atomic(directory / MANIFEST_NAME, render_manifest(manifest), mode=0o600)


def render_manifest(manifest: Manifest) -> bytes:
    """Return a manifest as JSON text, the same for the same manifest."""
    document: dict[str, Any] = {f.name: getattr(manifest, f.name) for f in fields(manifest)}
    document["metrics"] = dict(manifest.metrics)
    document["files"] = {
        path: {"sha256": record.sha256, "size": record.size} for path, record in manifest.files.items()
    }
    document["checksum"] = _hash_values(document)
    return (json.dumps(document, indent=2, sort_keys=True) + "\n").encode()


def parse_manifest(content: bytes, place: str) -> Manifest:
    """Turn JSON text into a manifest.

    Raises:
        ModelError: A key is missing, unknown or has a value that cannot be; the message names it.
    """
    document = parse_json(content, place)
    if not isinstance(document, dict):
        raise ModelError(f"{place} must hold a JSON object")
    values = dict(cast("dict[str, Any]", document))
    schema = values.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise ModelError(
            f"{place} is written in schema {schema}, and this version knows {SCHEMA}",
            hint="a newer assistant made this model: update",
        )
    for key in _CHECKS.keys() - values.keys() - _LATER:
        raise ModelError(f"{place}: {key} is missing", hint="fetch the model again")
    for key, value in values.items():
        complaint = _CHECKS.get(key, lambda _: "is not known")(value)
        if complaint:
            raise ModelError(f"{place}: {key} {complaint}", hint="fetch the model again")
    if values.pop("checksum") != _hash_values(values):
        raise ModelError(
            f"{place} has changed since it was written",
            hint="fetch the model again; `assistant models pull` takes --prompt-format and --name",
        )
    values["files"] = {path: FileRecord(**record) for path, record in values["files"].items()}
    return Manifest(**values)


def _hash_values(values: Mapping[str, Any]) -> str:
    """The manifest names the hash of every file but itself; this is its own."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _text(value: object) -> str:
    return "" if isinstance(value, str) and len(value) <= 4096 else "must be text"


def _name(value: object) -> str:
    return "" if isinstance(value, str) and is_model_name(value) else "is no model's name"


def _schema(value: object) -> str:
    return "" if type(value) is int and value == SCHEMA else f"must be {SCHEMA}"


def _format(value: object) -> str:
    return "" if value in PROMPT_FORMATS else f"must be one of {', '.join(PROMPT_FORMATS)}"


def _form(value: object) -> str:
    return "" if value in ("", *CPU_FORMS) else f"must be one of {', '.join(CPU_FORMS)}, or empty"


def _created(value: object) -> str:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    return "" if moment and moment.utcoffset() == timedelta(0) else "must be a time in UTC, in ISO 8601"


def _metrics(value: object) -> str:
    if not isinstance(value, dict):
        return "must be an object"
    values = cast("dict[str, object]", value).values()
    flat = all(isinstance(one, str | int | float | bool | None) for one in values)
    return "" if flat else "must have plain values"


def _files(value: object) -> str:
    if not isinstance(value, dict) or not value:
        return "must be an object that names files"
    for path, record in cast("dict[str, object]", value).items():
        if not is_inner_path(path) or path == MANIFEST_NAME:
            return f"names {path!r}, which is no file of a model"
        if not _is_file_record(record):
            return f"must give a sha256 and a size for {path}"
    return ""


def _is_file_record(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    record = cast("dict[str, object]", value)
    sha256, size = record.get("sha256"), record.get("size")
    return (
        record.keys() == {"sha256", "size"}
        and isinstance(sha256, str)
        and re.fullmatch(r"[0-9a-f]{64}", sha256) is not None
        and type(size) is int
        and size >= 0
    )


_CHECKS: Mapping[str, Callable[[object], str]] = {
    "schema": _schema,
    "checksum": _text,
    "name": _name,
    "source": _text,
    "prompt_format": _format,
    "base": _text,
    "base_revision": _text,
    "quantization": _text,
    "served_as": _form,
    "license": _text,
    "created": _created,
    "metrics": _metrics,
    "files": _files,
}
"""For each key, what returns the complaint about its value, or the empty string."""
_LATER = frozenset({"served_as"})
"""Keys that the first manifests do not have."""
