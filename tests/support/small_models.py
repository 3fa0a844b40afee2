"""Model directories of a few hundred bytes that the store takes for whole: nothing here loads them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from assistant.models.manifest import Manifest
from assistant.models.store import ModelStore

TEMPLATE = "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}{% endfor %}"
VOCABULARY = 16
WIDTH = 4


def make_tensors(seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    names = (
        "model.embed_tokens.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.1.mlp.up_proj.weight",
    )
    return {name: random.random((VOCABULARY, WIDTH), dtype=np.float32) for name in names}


def build_model(directory: Path, *, seed: int = 0) -> Path:
    """Make a directory that holds a model; another seed gives other weights."""
    directory.mkdir(parents=True)
    save_file(make_tensors(seed), directory / "model.safetensors", metadata={"format": "pt"})
    change_json(
        directory / "config.json",
        model_type="llama",
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=2,
    )
    vocabulary = {chr(ord("a") + number): number for number in range(VOCABULARY)}
    change_json(
        directory / "tokenizer.json", version="1.0", model={"type": "BPE", "vocab": vocabulary, "merges": []}
    )
    change_json(directory / "tokenizer_config.json", chat_template=TEMPLATE, bos_token="a", eos_token="b")
    return directory


def split_model(directory: Path) -> Path:
    """Put each tensor of a model into a shard of its own, with the index that names them."""
    (directory / "model.safetensors").unlink()
    tensors = make_tensors()
    weight_map: dict[str, str] = {}
    for number, (name, tensor) in enumerate(tensors.items(), start=1):
        weight_map[name] = f"model-{number:05}-of-{len(tensors):05}.safetensors"
        save_file({name: tensor}, directory / weight_map[name])
    change_json(directory / "model.safetensors.index.json", weight_map=weight_map)
    return directory


def change_json(path: Path, **values: Any) -> None:
    """Set keys of a JSON file, which is made where it is missing."""
    document = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(document | values))


def flip_bit(path: Path, position: int) -> None:
    """Change one bit of a file, counted from its beginning."""
    content = bytearray(path.read_bytes())
    content[position // 8] ^= 1 << position % 8
    path.write_bytes(content)


def publish(store: ModelStore, name: str, source: Path, *, replace: bool = False) -> Path:
    """Publish a copy of a directory, links and all."""
    manifest = Manifest(name=name, source="a test", prompt_format="chat")
    with store.open_staging() as staging:
        shutil.copytree(source, staging.model, symlinks=True, dirs_exist_ok=True)
        return store.publish(staging.model, manifest, replace=replace)
