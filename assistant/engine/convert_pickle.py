# pyright: basic
"""Turns pickled weights into safetensors: `python -m assistant.engine.convert_pickle DIRECTORY DIRECTORY`.

Reads with torch's restricted unpickler, which builds tensors and plain values and calls nothing else. That
reader has been broken before; so this is a process of its own, without network, and it starts no program.
It is no virtual machine: a new hole in the reader could still touch this user's files.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from assistant.engine.conversion import Report, forbid_escapes, run_converter
from assistant.errors import ModelError, UnsafeModelError
from assistant.files import write_atomic

INDEX_NAME = "model.safetensors.index.json"


def convert(source: Path, target: Path, report: Report) -> None:
    """Convert each `pytorch_model*.bin` of a directory, one at a time, and write their index.

    Raises:
        UnsafeModelError: A file is more than tensors.
        ModelError: A file cannot be read.
    """
    shards = sorted(source.glob("pytorch_model*.bin"))
    if not shards:
        raise ModelError(f"{source} holds no pytorch_model*.bin")
    report("loading PyTorch")
    import torch

    torch.set_num_threads(min(2, os.cpu_count() or 1))
    forbid_escapes()
    weight_map: dict[str, str] = {}
    total = 0
    for number, shard in enumerate(shards, start=1):
        report(f"weights {number} of {len(shards)}")
        tensors = read_tensors(shard)
        name = re.sub(r"^pytorch_model(.*)\.bin$", r"model\1.safetensors", shard.name)
        _write_tensors(target / name, tensors)
        weight_map |= dict.fromkeys(tensors, name)
        total += sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if len(shards) > 1 or "-of-" in shards[0].name:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        write_atomic(target / INDEX_NAME, (json.dumps(index, indent=2) + "\n").encode())


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a state dictionary and nothing else.

    Raises:
        UnsafeModelError: It holds something that is no tensor, or asks for code.
        ModelError: It is damaged.
    """
    import pickle
    import zipfile

    import torch

    try:
        state = torch.load(path, weights_only=True, map_location="cpu", mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise UnsafeModelError(
            f"{path.name} is more than tensors: {str(error).splitlines()[0][:300]}",
            hint="do not use this model",
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise ModelError(f"{path.name} is damaged: {error}", hint="download it again") from error
    if not isinstance(state, dict) or not state:
        raise UnsafeModelError(f"{path.name} holds no dictionary of tensors", hint="it is no model's weights")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UnsafeModelError(f"{path.name} holds {str(name)[:80]}, which is no tensor")
        if value.is_sparse or value.is_quantized or value.layout is not torch.strided:
            raise ModelError(f"{path.name}: {name} is stored in a way that safetensors cannot keep")
    return state


def _write_tensors(path: Path, tensors: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    seen: set[int] = set()
    separate: dict[str, Any] = {}
    for name, tensor in tensors.items():
        # safetensors keeps no two tensors in one memory; a tied one is written twice.
        place = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone().contiguous() if place in seen else tensor.contiguous()
        seen.add(place)
    save_file(separate, path, metadata={"format": "pt"})


if __name__ == "__main__":
    sys.exit(run_converter(convert, sys.argv[1:]))
