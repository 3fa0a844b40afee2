"""A run's model for use elsewhere: whole in 16 bits, or as GGUF. Both are in the run's directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from assistant import paths
from assistant.files import write_atomic
from assistant.models.store import ModelStore
from finetune.base import Base
from finetune.merging.record import MODEL_DIR, STAGE_16
from finetune.pipeline import ensure_merged, hash_adapter
from finetune.progress import Report
from finetune.publishing import CARD_NAME, GENERATION_CONFIG
from finetune.rundir import RunDir, write_record

GGUF = "gguf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was made, and where it is."""

    what: str
    path: Path


def export_model(run: RunDir, base: Base, name: str, what: str, report: Report) -> Exported:
    """Make an export of a run's model; one that is there already is not made again.

    Args:
        run: With its adapter trained.
        base: What it was trained on.
        name: Of the published model, whose card and generation configuration go along.
        what: `merged16` or `gguf`.
        report: Told how far it is.

    Raises:
        AssistantError: It cannot be made; what was there before is as it was.
    """
    published = ModelStore(paths.models_dir()).get_directory(name)
    with run.locked():
        if what == GGUF:
            return Exported(what=what, path=_export_gguf(run, published, name, report))
        ensure_merged(run, base, report, for_16_bits=True)
        model = run.get_stage(STAGE_16) / MODEL_DIR
        for file in (CARD_NAME, GENERATION_CONFIG):
            if (published / file).is_file():
                write_atomic(model / file, (published / file).read_bytes())
        return Exported(what=what, path=model)


def _export_gguf(run: RunDir, published: Path, name: str, report: Report) -> Path:
    key = hash_adapter(run)
    if run.find_stage(GGUF) is not None and run.read_record(GGUF)["adapter_sha256"] == key:
        return run.get_stage(GGUF) / run.read_record(GGUF)["file"]
    write: Callable[[Path, Path, Report], None] = import_module("finetune.gguf_file").write_gguf
    with run.open_stage(GGUF) as directory:
        file_name = f"{name}.gguf"
        write(published, directory / file_name, report)
        write_record(directory, GGUF, {"adapter_sha256": key, "file": file_name})
    return run.get_stage(GGUF) / file_name
