"""A merged model's other files, its card, and its way into the store. Loads no weights.

The model is saved so that every server prompts it as it was trained: its chat template renders the run's
prompt format, and its generation configuration names the token that ends an answer.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from assistant import paths
from assistant.files import storage_error, write_atomic
from assistant.models.documents import read_json_object
from assistant.models.manifest import Manifest, Metric
from assistant.models.names import suggest_model_name
from assistant.models.store import ModelStore
from assistant.prompts import Tokenizer, build_chat_template
from finetune.base import Base
from finetune.rundir import RunDir, write_record

STAGE = "publish"
CARD_NAME = "README.md"
GENERATION_CONFIG = "generation_config.json"
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt",
)  # fmt: skip
LEGAL_STARTS = ("LICENSE", "NOTICE", "USE_POLICY", "COPYING")


def write_surroundings(base: Base, target: Path, tokenizer: Tokenizer, prompt_format: str) -> None:
    """Write all files of a model but its weights and its card.

    Raises:
        ModelError: The base's files make no sense, or no template can prompt this model as it is trained.
        StorageError: The disk is full.
    """
    names = [*TOKENIZER_FILES, *(path.name for path in base.directory.iterdir() if _is_legal(path.name))]
    for name in names:
        if (base.directory / name).is_file():
            _copy(base.directory / name, target / name)
    config = read_json_object(base.directory / "config.json")
    config.pop("quantization_config", None)
    _write_json(target / "config.json", config)
    if (target / "tokenizer_config.json").is_file():
        tokens = read_json_object(target / "tokenizer_config.json")
        tokens.pop("chat_template", None)  # the base's own; ours stands in a file, and must be the only one
        _write_json(target / "tokenizer_config.json", tokens)
    template = build_chat_template(prompt_format, tokenizer)
    write_atomic(target / "chat_template.jinja", template.encode())
    _write_json(target / GENERATION_CONFIG, build_generation_config(base.directory, tokenizer))


def build_generation_config(base: Path, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return how a model is to be run: greedily, to the end that it was trained to write."""
    path = base / GENERATION_CONFIG
    old = read_json_object(path) if path.is_file() else {}
    ends = [tokenizer.eos_token_id, *_as_list(old.get("eos_token_id"))]
    ends = list(dict.fromkeys(ends))
    kept = {key: old[key] for key in ("bos_token_id", "pad_token_id") if key in old}
    return {**kept, "do_sample": False, "eos_token_id": ends if len(ends) > 1 else ends[0]}


def choose_name(base: Base, run: RunDir) -> str:
    """Return a name that no model of the store has."""
    taken = set(ModelStore(paths.models_dir()).names())
    stem = suggest_model_name(Path(base.name).name)[: 62 - len(run.name[:30])]
    first = suggest_model_name(f"{stem}-{run.name[:30]}")[:60]
    numbered = (f"{first}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (first, *numbered) if name not in taken)


def publish_model(
    run: RunDir, base: Base, model: Path, *, name: str, prompt_format: str, facts: Mapping[str, Any]
) -> Path:
    """Put a merged model into the store and note in the run what it is called.

    The weights are linked where the disk allows it, else copied. The store's other models stay as they are.

    Args:
        run: Its record `publish` is written.
        base: What was trained.
        model: The merged model's directory, which stays there.
        name: In the store.
        prompt_format: How it was trained to be asked.
        facts: `quantization`, `gate` (the gate's record or None), `equality`, `train`: what was measured.

    Raises:
        ModelError: The store refuses it, or has one of that name.
        StorageError: The disk is full; the store is what it was.
    """
    store = ModelStore(paths.models_dir())
    store.check_free(name)
    base_manifest = store.read_manifest(base.name) if store.find(base.name) is not None else None
    license_name = base_manifest.license if base_manifest else ""
    gate: Mapping[str, Any] = facts.get("gate") or {}
    manifest = Manifest(
        name=name,
        source=f"finetune:{run.name}",
        prompt_format=prompt_format,
        base=base_manifest.source if base_manifest else str(base.directory),
        base_revision=base.revision,
        quantization=str(facts.get("quantization") or "none"),
        served_as=str(gate.get("served_as", "")),
        license=license_name,
        metrics=build_metrics(facts),
    )
    with store.open_staging() as staging:
        for path in sorted(model.iterdir()):
            _link(path, staging.model / path.name)
        if penalty := gate.get("repetition_penalty"):
            path = staging.model / GENERATION_CONFIG
            _write_json(path, {**read_json_object(path), "repetition_penalty": penalty})
        card = render_model_card(run, base, manifest, facts)
        write_atomic(staging.model / CARD_NAME, card.encode())
        directory = store.publish(staging.model, manifest)
    with run.open_stage(STAGE) as stage:
        write_record(stage, STAGE, {"name": name, "directory": str(directory)})
    return directory


def build_metrics(facts: Mapping[str, Any]) -> dict[str, Metric]:
    """Return the numbers for a manifest: plain values alone."""
    metrics: dict[str, Metric] = {}
    gate = facts.get("gate")
    if gate:
        for side, name in (("before", gate["compared_with"]), ("after", gate["trained"])):
            metrics |= {f"{key}_{side}": value for key, value in gate["numbers"][name].items()}
        metrics["verdict"] = gate["sentence"]
    for key in ("kl", "top1"):
        if facts.get("equality"):
            metrics[f"merge_{key}"] = facts["equality"][key]
    return metrics


def render_model_card(run: RunDir, base: Base, manifest: Manifest, facts: Mapping[str, Any]) -> str:
    """Return the card: what it is, from what, how it was trained, what was measured. Shows no row."""
    from finetune.gate.gate import render_report  # late: the card knows the gate, and the gate no card

    known = manifest.license or "that of the base; none is recorded"
    parts = [
        "\n".join(_render_front(manifest)),
        f"# {manifest.name}",
        f"Python code for a task in plain words: {base.name}, fine-tuned on data of its user's own with"
        " LoRA and merged. Made by `assistant finetune`.",
        "## Ask it",
        f"The prompt is the format `{manifest.prompt_format}`, which `chat_template.jinja` renders: one user"
        " message is a task; a second text part of it is the task's input. It answers with code and ends."
        + _render_penalty(facts.get("gate") or {}),
        "## Base",
        f"`{manifest.base}`" + (f" at `{manifest.base_revision}`" if manifest.base_revision else ""),
        f"Licence: {known}. A fine-tuned model stays under its base's terms; what the data's licences ask for"
        " comes on top.",
    ]
    if facts.get("data"):
        parts += ["## Data", "```\n" + "\n".join(_render_values(facts["data"])) + "\n```"]
    if facts.get("settings"):
        parts += ["## Settings", "```\n" + "\n".join(_render_values(facts["settings"])) + "\n```"]
    if facts.get("gate"):
        parts += ["## Measured", "```\n" + "\n".join(render_report(facts["gate"])) + "\n```"]
    if facts.get("equality"):
        equality = facts["equality"]
        parts.append(
            f"Merged onto the {equality['onto']} weights; against base and adapter on {equality['rows']}"
            f" held-out rows: KL {equality['kl']:.6f}, the same likeliest token in {equality['top1']:.2%}."
        )
    return "\n\n".join(parts) + "\n"


def _render_front(manifest: Manifest) -> Iterable[str]:
    yield "---"
    if manifest.license:
        yield f"license: {manifest.license.lower()}"
    yield "pipeline_tag: text-generation"
    yield "library_name: transformers"
    if manifest.base.startswith("hub:"):
        yield f"base_model: {manifest.base.removeprefix('hub:').partition('@')[0]}"
    yield "---"


def _render_penalty(gate: Mapping[str, Any]) -> str:
    if not gate.get("repetition_penalty"):
        return ""
    return (
        f" More answers end with a repetition penalty of {gate['repetition_penalty']:g}, which"
        f" `{GENERATION_CONFIG}` names: a server that does not read it there has to be told."
    )


def _render_values(values: Mapping[str, Any]) -> Iterable[str]:
    for key, value in values.items():
        yield f"{key}: {value}"


def _is_legal(name: str) -> bool:
    return name.upper().startswith(LEGAL_STARTS) and Path(name).suffix.lower() in ("", ".txt", ".md")


def _as_list(value: Any) -> list[int]:
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, int)]


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        target.unlink(missing_ok=True)
        raise storage_error(error, target) from error


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    write_atomic(path, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())
