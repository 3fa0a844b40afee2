# pyright: basic
"""From a verified model directory to a model that answers. Chooses between `llama` and `other`."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from assistant.config import Config
from assistant.engine import llama_weights, other
from assistant.engine.batch import BatchedModel
from assistant.engine.device import CPU_ONLY, Placement, choose_placement
from assistant.engine.interface import LoadedModel, LoadModel, LoadProgress
from assistant.engine.kernels.compiling import (
    CannotCompileError,
    compile_kernels,
    find_kernels,
    find_obstacle,
    is_compiled,
)
from assistant.engine.kernels.ops import Kernels
from assistant.engine.memory import out_of_memory_error
from assistant.engine.network import Network
from assistant.engine.processor import usable_cores
from assistant.engine.stored import find_place
from assistant.engine.text import ModelText
from assistant.errors import AssistantError, ModelError
from assistant.models.manifest import read_manifest

log = logging.getLogger(__name__)

FOREIGN_ERRORS = (
    OSError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError, RuntimeError, MemoryError,
    SafetensorError, StrictDataclassError,
)  # fmt: skip
"""What torch, transformers and safetensors raise of a directory that is not what it seems."""
PACKING_SHARE = 3
"""So many times the weights must be free for packing them beside the ones that answer."""
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
    lacks_kernels: bool = False
    """Whether it would be faster with kernels that this machine can have."""

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

    Where the compiled kernels are not there yet, it answers by torch's until they are.

    Raises:
        ModelError: The directory does not hold a model that can be run.
        OutOfMemoryError: The device has no room for it.
        ConfigError: The settings ask for what this machine does not have.
    """
    manifest = read_manifest(directory)

    def load() -> Parts:
        return load_parts(
            directory, manifest.name, manifest.prompt_format, config, report,
            served_as=manifest.served_as, compiles=False,
        )  # fmt: skip

    def renew() -> None:
        if psutil.virtual_memory().available > PACKING_SHARE * parts.network.token_bytes:
            load()  # packs the weights and keeps them: while this one answers, not in its place
        model.renew_when_idle(lambda: load().network)

    parts = load()
    model = parts.start(manifest.name)
    if parts.lacks_kernels:
        compile_in_background(renew)
    return model


def load_parts(
    directory: Path,
    name: str,
    prompt_format: str,
    config: Config,
    report: Callable[[LoadProgress], None],
    *,
    served_as: str = "",
    compiles: bool = True,
) -> Parts:
    """Load a model that need not be in the store yet.

    Args:
        directory: Of the model.
        name: For messages.
        prompt_format: In which tasks are put to it.
        config: The settings.
        report: Told what goes on.
        served_as: What its manifest says of its weights on a CPU.
        compiles: Whether to compile the kernels first where that was not done yet.

    Raises:
        AssistantError: As `load_model`.
    """
    placement = choose_placement(config.engine, usable_cores=usable_cores(), served_as=served_as)
    torch.set_num_threads(placement.prefill_threads)
    wanted = placement.device.type == "cpu" and placement.quantization in CPU_ONLY
    kernels = _find_kernels(report, compiles=compiles) if wanted else None
    report(LoadProgress(stage="reading the tokenizer"))
    try:
        model_config = _read_config(directory)
        text = ModelText(directory, model_config, prompt_format)
        context = _context_tokens(model_config, config.engine.context_tokens)
        network = _load_network(directory, model_config, placement, context, report, kernels)
    except AssistantError:
        raise
    except FOREIGN_ERRORS as error:
        shortage = out_of_memory_error(error, f"the model {name}")
        log.warning("the model %s cannot be loaded", name, exc_info=error)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise (shortage or ModelError(
            f"model {name} cannot be loaded: {reason}",
            hint=f"`assistant models verify {name}` says whether its files are whole",
        )) from error  # fmt: skip
    gc.collect()
    return Parts(
        network=network, text=text, context_tokens=context, placement=placement,
        lacks_kernels=wanted and kernels is None and not find_obstacle()
        and _fits_kernels(model_config, placement, context),
    )  # fmt: skip


def compile_in_background(done: Callable[[], object]) -> None:
    """Compile the kernels on a thread, and call `done` there once they can be loaded."""

    def run() -> None:
        try:
            if _compile() and find_kernels() is not None:
                done()
        except AssistantError as error:
            log.warning("answers stay slower: the model cannot be loaded again: %s", error)

    threading.Thread(target=run, name="kernels", daemon=True).start()


def _fits_kernels(model_config: Any, placement: Placement, context: int) -> bool:
    if not llama_weights.is_supported(model_config, context):
        return False
    return llama_weights.fits_kernels(llama_weights.build_shape(model_config), placement.quantization)


def _find_kernels(report: Callable[[LoadProgress], None], *, compiles: bool) -> Kernels | None:
    if compiles and not is_compiled() and not find_obstacle():
        report(LoadProgress(stage="compiling the engine for this processor, once"))
        _compile()
    return find_kernels()


def _compile() -> bool:
    log.info("compiling the kernels for this processor")
    try:
        log.info("the kernels are in %s", compile_kernels())
    except CannotCompileError as error:
        log.warning("answers come slower, without compiled kernels: %s", error)
        return False
    return True


def _read_config(directory: Path) -> Any:
    auto = cast("Any", transformers).AutoConfig
    return auto.from_pretrained(directory, local_files_only=True, trust_remote_code=False)


def _context_tokens(model_config: Any, wanted: int) -> int:
    longest = int(getattr(model_config, "max_position_embeddings", 0) or DEFAULT_CONTEXT)
    if longest < 1:
        raise ModelError(
            f"config.json: max_position_embeddings must not be below 0, got {longest}",
            hint="pull the model again",
        )
    return min(longest, wanted or DEFAULT_CONTEXT)


def _load_network(
    directory: Path, model_config: Any, placement: Placement, context: int,
    report: Callable[[LoadProgress], None], kernels: Kernels | None,
) -> Network:  # fmt: skip
    if llama_weights.is_supported(model_config, context):
        return llama_weights.load_llama(
            directory, model_config, placement, context, report, kernels, find_place(directory)
        )
    return other.load_other(directory, model_config, placement, report)
