"""The doctor's look at PyTorch, processor and GPUs.

It is asked in a process of its own: PyTorch takes seconds to load, and a broken driver may end it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from assistant.commands.findings import Finding, Level, render_bytes
from assistant.commands.room import check_fit, find_memory

PROBE = ("-P", "-m", "assistant.engine.probe")
PROBE_TIMEOUT_S = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What PyTorch says of the machine."""

    content: dict[str, Any] = field(default_factory=dict[str, Any])
    failure: str = ""
    """Why there is no content; empty where there is."""


def run_probe() -> Probe:
    """Ask PyTorch, for three minutes at most."""
    try:
        done = subprocess.run(
            [sys.executable, *PROBE],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=_environment(),
            text=True,
            errors="replace",
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe(failure=f"no answer within {PROBE_TIMEOUT_S:g} s")
    except OSError as error:
        return Probe(failure=f"cannot start {sys.executable}: {error.strerror}")
    return parse_probe(done.stdout, done.stderr, done.returncode)


def parse_probe(out: str, errors: str, code: int) -> Probe:
    """Read what the probe wrote. A library may have written lines of its own before it."""
    last = out.strip().rpartition("\n")[2]
    try:
        content: object = json.loads(last) if code == 0 else None
    except ValueError:
        content = None
    if isinstance(content, dict):
        return Probe(content=cast("dict[str, Any]", content))
    how = f"it ended with signal {-code}" if code < 0 else f"it ended with exit code {code}"
    said = errors.strip().rpartition("\n")[2]
    return Probe(failure=f"{how}: {said}" if said else how)


def check_machine(probe: Probe) -> Iterator[Finding]:
    """Look at what PyTorch said, and at the memory."""
    if probe.failure:
        yield Finding(
            subject="torch",
            text=f"PyTorch cannot be used: {probe.failure}",
            level=Level.FAIL,
            to_do=f"{sys.executable} -m assistant.engine.probe",
        )
    else:
        yield Finding(subject="torch", text=str(probe.content.get("torch", "?")))
        yield _check_processor(probe.content.get("cpu", {}))
    memory = find_memory()
    yield Finding(
        subject="memory",
        text=f"{render_bytes(memory.available)} available of {render_bytes(memory.total)}",
    )
    if probe.failure:
        return
    gpus = cast("list[dict[str, Any]]", probe.content.get("cuda") or [])
    yield from _check_gpus(gpus)
    yield _check_nf4(probe.content.get("nf4", {}))
    yield _check_kernels(probe.content.get("kernels", {}), has_gpu=bool(gpus))
    for error in cast("list[Any]", probe.content.get("errors") or []):
        yield Finding(subject="probe", text=str(error), level=Level.WARN)
    if gpus:
        yield from check_fit("GPU", max(int(gpu.get("free_bytes") or gpu["memory_bytes"]) for gpu in gpus))
    else:
        yield from check_fit("processor", memory.available)


def _check_processor(cpu: dict[str, Any]) -> Finding:
    extensions = [name for name in ("avx2", "avx512", "avx512_bf16", "amx") if cpu.get(name)]
    text = f"{cpu.get('model', '?')}, {cpu.get('cores_usable', '?')} cores to use"
    return Finding(subject="processor", text=", ".join([text, *extensions]))


def _check_gpus(gpus: list[dict[str, Any]]) -> Iterator[Finding]:
    if not gpus:
        yield Finding(subject="gpu", text="none that PyTorch can use: models run on the processor")
    for gpu in gpus:
        free = gpu.get("free_bytes")
        room = f"{render_bytes(free)} free of " if free else ""
        yield Finding(
            subject="gpu",
            text=f"{gpu['name']}, {room}{render_bytes(gpu['memory_bytes'])}, capability {gpu['capability']}",
        )


def _check_nf4(nf4: dict[str, Any]) -> Finding:
    if nf4.get("works"):
        return Finding(subject="nf4", text=f"works on {nf4.get('device') or 'this machine'}")
    return Finding(
        subject="nf4",
        text="4-bit weights of bitsandbytes do not work here",
        level=Level.WARN,
        to_do="assistant config set engine.quantization int8",
    )


def _check_kernels(kernels: dict[str, Any], *, has_gpu: bool) -> Finding:
    obstacle = str(kernels.get("obstacle") or "")
    if kernels.get("works"):
        return Finding(subject="kernels", text="compiled for this processor")
    if has_gpu and obstacle:
        return Finding(subject="kernels", text=f"none for the processor, and a GPU needs none: {obstacle}")
    if obstacle:
        return Finding(
            subject="kernels",
            text=f"none, so that answers come about three times slower: {obstacle}",
            level=Level.WARN,
            to_do="install g++ or clang++" if "compiler" in obstacle else "",
        )
    if kernels.get("compiled"):
        return Finding(
            subject="kernels",
            text="compiled, but they do not load or compute wrongly: answers come about three times slower",
            level=Level.WARN,
            to_do=f"remove {kernels.get('path')}: the next start compiles them again",
        )
    text = "will be compiled for this processor in the background of the first start"
    return Finding(subject="kernels", text=text)


def _environment() -> dict[str, str]:
    """Let the new process find this package where it runs from a source tree."""
    source = Path(__file__).resolve().parents[2]
    if source.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    found = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": found}
