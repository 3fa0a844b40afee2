# pyright: basic
"""What this machine can run, as one JSON object: `python -m assistant.engine.probe`.

A process of its own, since importing torch takes seconds and a broken driver may end it.
"""

from __future__ import annotations

import json
import time
from typing import Any

import torch

from assistant.config import EngineSettings
from assistant.engine.device import choose_placement
from assistant.engine.kernels.compiling import find_kernels, find_obstacle, is_compiled, library_path
from assistant.engine.linear import Nf4Linear
from assistant.engine.processor import processor_flags, processor_name, usable_cores


def probe_machine() -> dict[str, Any]:
    """Look at the processor, the GPUs, whether nf4 works, and the compiled kernels."""
    errors: list[str] = []
    return {
        "torch": str(torch.__version__),
        "cuda": _probe_gpus(errors),
        "cpu": _probe_processor(),
        "nf4": _probe_nf4(errors),
        "kernels": _probe_kernels(),
        "errors": errors,
    }


def _probe_gpus(errors: list[str]) -> list[dict[str, Any]]:
    try:
        if not torch.cuda.is_available():
            return []
        return [
            {
                "name": torch.cuda.get_device_name(index),
                "memory_bytes": torch.cuda.mem_get_info(index)[1],
                "free_bytes": torch.cuda.mem_get_info(index)[0],
                "capability": ".".join(map(str, torch.cuda.get_device_capability(index))),
            }
            for index in range(torch.cuda.device_count())
        ]
    except RuntimeError as error:
        errors.append(f"the GPU does not answer: {error}")
        return []


def _probe_processor() -> dict[str, Any]:
    flags = processor_flags()
    return {
        "model": processor_name(),
        "cores_usable": usable_cores(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "avx2": "avx2" in flags,
        "avx512": "avx512f" in flags,
        "avx512_bf16": "avx512_bf16" in flags,
        "amx": "amx_tile" in flags,
    }


def _probe_kernels() -> dict[str, Any]:
    """Look for the compiled kernels; those that are there are loaded and compared with torch."""
    return {
        "compiled": is_compiled(),
        "works": find_kernels() is not None,
        "obstacle": find_obstacle(),
        "path": str(library_path()),
    }


def _probe_nf4(errors: list[str]) -> dict[str, Any]:
    """Multiply by one nf4 matrix and compare with the plain product."""
    started = time.monotonic()
    try:
        placement = choose_placement(EngineSettings(quantization="nf4"), usable_cores=usable_cores())
        torch.manual_seed(0)
        matrix = torch.randn(256, 256, dtype=placement.dtype)
        x = torch.randn(4, 256, dtype=placement.dtype, device=placement.device)
        exact = x.float() @ matrix.float().t().to(placement.device)
        got = Nf4Linear(matrix, placement.device)(x).float()
        error = float((got - exact).norm() / exact.norm())
    except Exception as failure:  # noqa: BLE001 - whatever a broken installation raises is the answer
        errors.append(f"nf4 does not work: {type(failure).__name__}: {failure}")
        return {"works": False, "device": "", "seconds": 0.0}
    return {
        # Rounding a normal matrix to nf4 costs about 9 % in norm.
        "works": error < 0.2,
        "device": str(placement.device),
        "relative_error": round(error, 4),
        "seconds": round(time.monotonic() - started, 3),
    }


if __name__ == "__main__":
    print(json.dumps(probe_machine()))  # noqa: T201 - the answer
