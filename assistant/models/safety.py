"""A model's directory is hostile until it has passed here. Looks at every file; runs and loads nothing.

What is refused: anything but tensors, JSON, tokenizers, templates and plain text; pickles under any name;
code, and requests for code (`auto_map`); links; headers and indexes that lie; templates that loop or escape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assistant.errors import ModelError, UnsafeModelError
from assistant.models import listing
from assistant.models.chat_templates import check_templates
from assistant.models.documents import read_json, read_json_object, walk_json
from assistant.models.shapes import check_shapes
from assistant.models.tensors import Tensor, check_weights

CODE_KEYS = frozenset({"auto_map", "custom_pipelines"})
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a directory that passed holds."""

    files: list[str]
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    has_template: bool


def check_directory(directory: Path) -> Contents:
    """Look at every file of a model's directory.

    Raises:
        UnsafeModelError: Something in it could run code, or is not what it says it is.
        ModelError: It is not a whole model.
    """
    files = listing.list_files(directory)
    for path in files:
        listing.check_name(directory, path)
        listing.check_content(directory, path, (directory / path).lstat().st_size)
        if path.endswith(".json"):
            check_document(directory / path)
    if "config.json" not in files:
        raise _no_config_error(directory, files)
    config = read_json_object(directory / "config.json")
    tensors = check_weights(directory, files)
    check_shapes(directory, config, tensors)
    if not any(name in files for name in TOKENIZERS):
        raise ModelError(f"{directory} holds no tokenizer", hint=f"one of {', '.join(TOKENIZERS)} is needed")
    has_template = check_templates(directory, files)
    return Contents(files=files, config=config, tensors=tensors, has_template=has_template)


def check_document(path: Path) -> None:
    """Refuse a JSON file that asks a library to fetch or run code.

    Raises:
        UnsafeModelError: It does, or it is too long or too deep.
        ModelError: It is not JSON.
    """
    for key, value in walk_json(read_json(path), str(path)):
        if key in CODE_KEYS and value and isinstance(value, dict | list | str):  # a number: a vocabulary
            raise UnsafeModelError(
                f"{path} asks for code of its own ({key})",
                hint="take a model whose architecture transformers knows by itself",
            )
        if key == "trust_remote_code" and value and isinstance(value, bool | str):
            raise UnsafeModelError(f"{path} sets trust_remote_code", hint="do not use this model")
        if "attn_implementation" in key and isinstance(value, str) and "/" in value:
            raise UnsafeModelError(
                f"{path} asks for a kernel from the network ({key} is {value[:80]!r})", hint=f"remove {key}"
            )


def _no_config_error(directory: Path, files: list[str]) -> ModelError:
    if "adapter_config.json" in files:
        return ModelError(
            f"{directory} is an adapter, which is a part of a model", hint="merge it into its base first"
        )
    return ModelError(f"{directory} has no config.json", hint="it is no model that transformers can load")
