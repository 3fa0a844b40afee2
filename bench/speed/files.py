"""The model files that peers read, made once from a model directory and kept under the cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from bench.speed.environments import find_reason
from bench.speed.running import Running, UnavailableError

CONFIG_NAME = "genai_config.json"


def find_model_cache(cache: Path, model: Path) -> Path:
    """Return where a model's files are kept; other weights of the same name have another place."""
    key = hashlib.sha256((model / "config.json").read_bytes())
    for path in sorted(model.glob("*.safetensors")):
        with path.open("rb") as file:
            key.update(hashlib.file_digest(file, "sha256").digest())
    place = cache / "models" / key.hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    return place


def ensure_gguf(place: Path, model: Path, form: str, start: Callable[[], Running], threads: int) -> Path:
    """Return a GGUF file in 4 or 8 bits; llama.cpp itself makes it of one in 16.

    Args:
        place: The model's cache.
        model: The model's directory.
        form: `Q4_0`, `Q4_1` or `Q8_0`.
        start: Starts llama.cpp's process.
        threads: To quantise with.

    Raises:
        UnavailableError: It cannot be made.
    """
    target = place / f"{form}.gguf"
    if target.is_file():
        return target
    whole = place / "16.gguf"
    if not whole.is_file():
        _write_whole(model, whole)
    peer = start()
    try:
        part = target.with_suffix(".part")
        peer.call("quantize", source=str(whole), target=str(part), form=form, threads=threads)
        part.replace(target)
    finally:
        peer.end()
    return target


def _write_whole(model: Path, target: Path) -> None:
    from assistant.errors import AssistantError
    from finetune.gguf_file import write_gguf  # late: it loads torch

    part = target.with_suffix(".part")
    try:
        write_gguf(model, part)
    except AssistantError as error:
        raise UnavailableError(error.message) from error
    part.replace(target)


def ensure_onnx(place: Path, model: Path, python: Path, threads: int) -> Path:
    """Return a directory with an int4 model for onnxruntime-genai; its model builder makes it.

    Args:
        place: The model's cache.
        model: The model's directory.
        python: Of its environment.
        threads: That it will run with.

    Raises:
        UnavailableError: It cannot be made.
    """
    target, part = place / "onnx-int4", place / "onnx-int4.part"
    if not target.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        log = place / "onnx-int4.log"
        command = [python, "-m", "onnxruntime_genai.models.builder", "-i", model, "-o", part]
        command += ["-p", "int4", "-e", "cpu", "-c", place / "builder-cache"]
        with log.open("wb") as output:
            done = subprocess.run(
                list(map(str, command)),
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
                check=False,
            )
        if done.returncode or not (part / CONFIG_NAME).is_file():
            raise UnavailableError(f"its model builder failed: {find_reason(log)}; see {log}")
        part.replace(target)
    config = target / CONFIG_NAME
    config.write_text(set_threads(config.read_text(encoding="utf-8"), threads), encoding="utf-8")
    return target


def set_threads(config: str, threads: int) -> str:
    """Return a genai_config.json in which the decoder runs with so many threads."""
    document = json.loads(config)
    document["model"]["decoder"].setdefault("session_options", {})["intra_op_num_threads"] = threads
    return json.dumps(document, indent=2)
