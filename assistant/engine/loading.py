# pyright: basic
"""From a verified model directory to a model that answers. Chooses between `llama` and `other`."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import transformers

from assistant.config import Config
from assistant.engine import llama_weights, other
from assistant.engine.batch import BatchedModel
from assistant.engine.device import Placement, choose_placement
from assistant.engine.interface import LoadedModel, LoadModel, LoadProgress
from assistant.engine.memory import out_of_memory_error
from assistant.engine.network import Network
from assistant.engine.text import ModelText
from assistant.errors import AssistantError, ModelError
from assistant.models.manifest import read_manifest

DEFAULT_CONTEXT = 8192
"""Cache is set aside for so many tokens in each slot, where the model can do more."""


def create_loader(config: Config) -> LoadModel:
    """Return the function that loads a model with these settings."""

    def load(directory: Path, report: Callable[[LoadProgress], None]) -> LoadedModel:
        return load_model(directory, config, report)

    return load


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A model in memory, without the thread that answers with it."""

    network: Network
    text: ModelText
    context_tokens: int
    placement: Placement

    def start(self, name: str) -> BatchedModel:
        """Start the thread; from now on the network is its own."""
        return BatchedModel(
            name=name,
            network=self.network,
            text=self.text,
            context_tokens=self.context_tokens,
            placement=self.placement,
        )


def load_model(directory: Path, config: Config, report: Callable[[LoadProgress], None]) -> BatchedModel:
    """Load a model; blocks for seconds to minutes.

    Raises:
        ModelError: The directory does not hold a model that can be run.
        OutOfMemoryError: The device has no room for it.
        ConfigError: The settings ask for what this machine does not have.
    """
    manifest = read_manifest(directory)
    parts = load_parts(
        directory, manifest.name, manifest.prompt_format, config, report, served_as=manifest.served_as
    )
    return parts.start(manifest.name)


def load_parts(
    directory: Path,
    name: str,
    prompt_format: str,
    config: Config,
    report: Callable[[LoadProgress], None],
    *,
    served_as: str = "",
) -> Parts:
    """Load a model that need not be in the store yet.

    Raises:
        AssistantError: As `load_model`.
    """
    placement = choose_placement(config.engine, usable_cores=usable_cores(), served_as=served_as)
    torch.set_num_threads(placement.prefill_threads)
    report(LoadProgress(stage="reading the tokenizer"))
    try:
        model_config = _read_config(directory)
        text = ModelText(directory, model_config, prompt_format)
        context = _context_tokens(model_config, config.engine.context_tokens)
        network = _load_network(directory, model_config, placement, context, report)
    except AssistantError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        shortage = out_of_memory_error(error, f"the model {name}")
        raise (shortage or ModelError(
            f"model {name} cannot be loaded: {type(error).__name__}: {error}",
            hint=f"`assistant models verify {name}` says whether its files are whole",
        )) from error  # fmt: skip
    gc.collect()
    return Parts(network=network, text=text, context_tokens=context, placement=placement)


def usable_cores() -> int:
    """Cores that this process may use, which in a container is fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_config(directory: Path) -> Any:
    auto = cast("Any", transformers).AutoConfig
    return auto.from_pretrained(directory, local_files_only=True, trust_remote_code=False)


def _context_tokens(model_config: Any, wanted: int) -> int:
    longest = int(getattr(model_config, "max_position_embeddings", 0) or DEFAULT_CONTEXT)
    return min(longest, wanted or DEFAULT_CONTEXT)


def _load_network(
    directory: Path, model_config: Any, placement: Placement, context: int,
    report: Callable[[LoadProgress], None],
) -> Network:  # fmt: skip
    if llama_weights.is_supported(model_config, context):
        return llama_weights.load_llama(directory, model_config, placement, context, report)
    return other.load_other(directory, model_config, placement, report)
