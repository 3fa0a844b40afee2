# pyright: basic
"""Time and memory of merging: a Llama-2-7B-shaped checkpoint by us, a smaller one by us and by PEFT.

    python bench/merge.py --directory /some/disk    # 30 GB are needed there, and given back

Each merge is a process of its own with one thread; its memory is the peak of its resident pages.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHAPES = {
    "7B": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    },
    "1B": {
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "num_hidden_layers": 22,
        "num_attention_heads": 32,
    },
}
VOCABULARY = 32000
SHARD_BYTES = 9_976_000_000
RANK = 64
LAYER = (
    ("self_attn.q_proj", 0, 0), ("self_attn.k_proj", 0, 0), ("self_attn.v_proj", 0, 0),
    ("self_attn.o_proj", 0, 0), ("mlp.gate_proj", 1, 0), ("mlp.up_proj", 1, 0), ("mlp.down_proj", 0, 1),
)  # fmt: skip
"""Each matrix with its rows and columns: 0 for the hidden size, 1 for the intermediate one."""


def main() -> None:
    """Make the checkpoints, run the merges, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--only", choices=list(SHAPES), help="one size alone")
    parser.add_argument("--onto", choices=["original", "nf4"], default="original")
    parser.add_argument(
        "--merge", nargs=4, metavar=("WHO", "BASE", "ADAPTER", "TARGET"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.merge:
        run_merge(*options.merge, onto=options.onto)
        return
    results = {}
    for size in [options.only] if options.only else list(SHAPES):
        place = Path(tempfile.mkdtemp(prefix="bench-merge-", dir=options.directory))
        try:
            make_base(place / "base", size)
            make_adapter(place / "adapter", size)
            on_disk = sum(path.stat().st_size for path in (place / "base").glob("*.safetensors"))
            results[size] = {"base_gb": round(on_disk / 1e9, 2)}
            for who in ("ours", "peft") if size != "7B" else ("ours",):
                results[size][who] = measure(who, place, options.onto)
                shutil.rmtree(place / "merged")
        finally:
            shutil.rmtree(place)
    print(json.dumps({"onto": options.onto, "threads": 1, **results}, indent=2))


def measure(who: str, place: Path, onto: str) -> dict[str, float]:
    """Run one merge as a process."""
    (place / "merged").mkdir()
    command = [sys.executable, __file__, "--onto", onto, "--merge", who]
    command += [str(place / name) for name in ("base", "adapter", "merged")]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def run_merge(who: str, base: str, adapter: str, target: str, *, onto: str) -> None:
    """Merge, and print seconds and the peak of memory."""
    import torch

    torch.set_num_threads(1)
    started = time.monotonic()
    if who == "ours":
        from finetune.merging.merge import Onto, merge_adapter
        from finetune.merging.nf4 import Nf4

        merge_adapter(Path(base), Path(adapter), Path(target), onto=Onto(onto), nf4=Nf4(dtype=torch.bfloat16))
    else:
        import peft
        import transformers

        model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
        peft.PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(target)
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_bytes = peak if sys.platform == "darwin" else peak * 1024
    print(json.dumps({"seconds": round(seconds, 1), "peak_rss_gb": round(peak_bytes / 1e9, 2)}))


def list_tensors(size: str) -> dict[str, tuple[int, ...]]:
    """Return the tensors of a Llama of that size."""
    shape = SHAPES[size]
    widths = (shape["hidden_size"], shape["intermediate_size"])
    tensors: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, widths[0])}
    for layer in range(shape["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        tensors |= {
            f"{prefix}.{name}.weight": (widths[rows], widths[columns]) for name, rows, columns in LAYER
        }
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{prefix}.{norm}.weight"] = (widths[0],)
    return tensors | {"model.norm.weight": (widths[0],), "lm_head.weight": (VOCABULARY, widths[0])}


def make_base(directory: Path, size: str) -> None:
    """Write a checkpoint of random bfloat16, in shards as the hub has them."""
    import torch

    from finetune.merging.tensor_files import build_header, tensor_bytes

    directory.mkdir()
    noise = bytes(tensor_bytes((torch.randn(VOCABULARY * 4096) * 0.02).to(torch.bfloat16)))
    shards: list[dict[str, tuple[int, ...]]] = [{}]
    filled = 0
    for name, shape in list_tensors(size).items():
        width = 2 * torch.Size(shape).numel()
        if filled + width > SHARD_BYTES:
            shards.append({})
            filled = 0
        shards[-1][name] = shape
        filled += width
    places = {}
    for number, tensors in enumerate(shards, start=1):
        file_name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        with (directory / file_name).open("wb") as file:
            file.write(build_header({name: ("BF16", shape) for name, shape in tensors.items()}))
            for shape in tensors.values():
                file.write(noise[: 2 * torch.Size(shape).numel()])
        places |= dict.fromkeys(tensors, file_name)
    (directory / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": places})
    )
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": VOCABULARY}
    config |= {"dtype": "bfloat16", "num_key_value_heads": SHAPES[size]["num_attention_heads"]}
    (directory / "config.json").write_text(json.dumps({**config, **SHAPES[size]}))


def make_adapter(directory: Path, size: str) -> None:
    """Write an adapter on every linear layer."""
    import torch
    from safetensors.torch import save_file

    directory.mkdir()
    tensors = {}
    for name, shape in list_tensors(size).items():
        if "_proj" in name:
            prefix = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{prefix}.lora_A.weight"] = torch.randn(RANK, shape[1]) * 0.02
            tensors[f"{prefix}.lora_B.weight"] = torch.randn(shape[0], RANK) * 0.02
    save_file(tensors, directory / "adapter_model.safetensors")
    modules = sorted(name.split(".")[-1] for name, _, _ in LAYER)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 16, "bias": "none"}
    (directory / "adapter_config.json").write_text(json.dumps({**config, "target_modules": modules}))


if __name__ == "__main__":
    main()
