"""Which engines take part, and what it takes to start each. One that cannot be had is named with its reason.

The versions are those that were tried. Peers are started with all cores that this process may use: it is
what they would take, and what makes them fastest on a quiet machine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from assistant.engine.processor import usable_cores
from bench.speed.environments import ensure_environment
from bench.speed.figures import HF_NF4, OURS
from bench.speed.files import ensure_gguf, ensure_onnx, find_model_cache
from bench.speed.running import Running, UnavailableError

LLAMA_CPP, ORT, HF = "llama.cpp", "ort", "hf"
LLAMA_CPP_PACKAGES = ("llama-cpp-python==0.3.36",)
LLAMA_CPP_BUILD = {"CMAKE_ARGS": "-DLLAVA_BUILD=OFF"}
"""Where it is built from source: for this machine's processor, without what reads pictures."""
ORT_PACKAGES = ("onnxruntime-genai==0.18.0", "onnx==1.23.2", "onnx-ir==1.1.0")
GGUF_FORMS = ("Q4_0", "Q4_1", "Q8_0")
ORT_NAME = "ORT int4"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlace:
    """The model that all of them run."""

    directory: Path
    prompt_format: str
    served_as: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One line of the table."""

    name: str
    family: str
    process: str
    """Engines with the same one share a process and its model."""
    module: str
    python: Path
    load: Mapping[str, Any]
    generate: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """How it answers, beside the prompt."""

    def start(self, logs: Path) -> Running:
        """Start its process; its model is not loaded yet."""
        log = logs / f"{self.process.replace(' ', '-')}.log"
        return Running(self.process, self.python, self.module, build_environment(self.python), log)


@dataclass(slots=True, kw_only=True)
class Field:
    """All that take part, and those that cannot."""

    engines: list[Engine]
    unavailable: dict[str, str]


def build_environment(python: Path) -> dict[str, str]:
    """Return what an engine's process sees: nothing of a network, and this project only under our Python."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.pop("PYTHONPATH", None)
    if python == Path(sys.executable):
        environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    return environment


def find_engines(
    model: ModelPlace,
    cache: Path,
    without: Collection[str],
    tell: Callable[[str], None],
    *,
    forms: Collection[str] = GGUF_FORMS,
) -> Field:
    """Install what is missing, make the files that are missing, and return everything that can be started.

    Args:
        model: What they run.
        cache: Where environments and files are kept.
        without: Families to leave out.
        tell: Told what takes long.
        forms: Of llama.cpp's files.
    """
    field_ = Field(engines=[build_ours(model)], unavailable={})
    if HF not in without:
        field_.engines += iter_hf(model.directory)
    makers = {
        LLAMA_CPP: partial(_iter_llama_cpp, model, cache, forms, tell),
        ORT: partial(_iter_ort, model, cache, tell),
    }
    for family, make in makers.items():
        if family in without:
            continue
        try:
            for found in make():
                field_.engines.append(found)
        except UnavailableError as error:
            field_.unavailable[family] = str(error)
    field_.unavailable |= dict.fromkeys(without, "left out by --without")
    return field_


def build_ours(model: ModelPlace, settings: Mapping[str, Any] | None = None) -> Engine:
    """Return our engine, with the user's settings but for these."""
    load = {
        "directory": str(model.directory),
        "prompt_format": model.prompt_format,
        "served_as": model.served_as,
        "settings": dict(settings or {}),
    }
    return Engine(
        name=OURS, family=OURS, process=OURS, module="peer_ours", python=Path(sys.executable), load=load
    )


def iter_hf(directory: Path) -> Iterator[Engine]:
    """Yield transformers' `generate` in both forms, without and with its prompt lookup."""
    for name, quantization in (("HF bf16", "none"), (HF_NF4, "nf4")):
        for has_lookup in (False, True):
            yield Engine(
                name=f"{name} + lookup" if has_lookup else name,
                family=HF,
                process=name,
                module="peer_hf",
                python=Path(sys.executable),
                load={"directory": str(directory), "quantization": quantization, "threads": usable_cores()},
                generate={"lookup_is_on": has_lookup},
            )


def _iter_llama_cpp(
    model: ModelPlace, cache: Path, forms: Collection[str], tell: Callable[[str], None]
) -> Iterator[Engine]:
    python = ensure_environment(cache, "llama-cpp", LLAMA_CPP_PACKAGES, tell, build=LLAMA_CPP_BUILD)
    place = find_model_cache(cache, model.directory)

    def start() -> Running:
        log = cache / "llama-cpp-quantize.log"
        return Running("quantize", python, "peer_llama_cpp", build_environment(python), log)

    for form in forms:
        path = ensure_gguf(place, model.directory, form, start, usable_cores())
        for has_lookup in (False, True):
            name = f"{LLAMA_CPP} {form}" + " + lookup" * has_lookup
            yield Engine(
                name=name,
                family=LLAMA_CPP,
                process=name,
                module="peer_llama_cpp",
                python=python,
                load={"path": str(path), "threads": usable_cores(), "lookup_is_on": has_lookup},
            )


def _iter_ort(model: ModelPlace, cache: Path, tell: Callable[[str], None]) -> Iterator[Engine]:
    # Its model builder reads the model by transformers and torch: those are ours.
    python = ensure_environment(cache, "onnxruntime-genai", ORT_PACKAGES, tell, sees_ours=True)
    place = find_model_cache(cache, model.directory)
    tell("building the ONNX model")
    directory = ensure_onnx(place, model.directory, python, usable_cores())
    yield Engine(
        name=ORT_NAME,
        family=ORT,
        process=ORT_NAME,
        module="peer_ort",
        python=python,
        load={"directory": str(directory)},
    )
