# pyright: basic
"""Tokens per second and peak memory of training 7B on a GPU: ours, and the article's recipe in stock TRL.

    python bench/train_gpu.py [--layers 32] [--steps 6]

Offline and within ten minutes: the base is random, of Llama-2-7B's shape, written once to a temporary
directory (13.5 GB). The article's side is its settings: rank 64 on q_proj and v_proj, plain nf4, packing to
2048 tokens, gradient checkpointing, a paged optimiser, loss on the full text. Ours trains the same modules on
completions, packed without one row seeing another. Tokens are counted without padding. Says so without a GPU.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

SHAPE = {
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
ROWS, BATCH, LIMIT = 512, 4, 2048


def make_base(directory: Path, layers: int) -> None:
    """Write a random Llama in float16 with a tokenizer of words."""
    import tokenizers
    import torch
    import transformers

    config = transformers.LlamaConfig(**SHAPE, num_hidden_layers=layers)
    torch.set_default_dtype(torch.float16)
    with torch.device("cuda"):
        model: Any = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float16)
    torch.set_default_dtype(torch.float32)
    model.save_pretrained(directory, max_shard_size="5GB")
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"w{number}": number for number in range(3, 32_000)}}
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(directory)


def make_rows() -> list[Any]:
    """Rows as long as the article's data: some 250 tokens, of which half are code."""
    from finetune.tokenizing import TokenRow

    chooser = random.Random(7)
    rows: list[Any] = []
    for number in range(ROWS):
        length = min(LIMIT, max(48, round(chooser.lognormvariate(5.4, 0.5))))
        ids = [chooser.randrange(3, 32_000) for _ in range(length - 1)] + [2]
        rows.append(TokenRow(input_ids=ids, labels=[-100] * (length // 2) + ids[length // 2 :], row=number))
    return rows


def train_ours(directory: Path, steps: int) -> dict[str, float]:
    """Train by `train_run`: four full sequences a step, as the article's side has."""
    from train import make_token_run

    from finetune.base import find_base
    from finetune.training.options import build_options
    from finetune.training.train import train_run

    base = find_base(str(directory))
    sets = [
        "packing=bfd",
        f"batch_size={BATCH}",
        f"max_steps={steps}",
        f"eval_steps={steps}",
        "targets=q_proj,v_proj",
        "alpha=16",
        "dropout=0",
        "device=cuda",
        "gradient_checkpointing=on",
        "optimizer=paged_adamw_8bit",
    ]
    with tempfile.TemporaryDirectory() as place:
        run = make_token_run(Path(place) / "run", base, make_rows(), LIMIT)
        with run.locked():
            result = train_run(run, base, build_options(sets=sets))
    return {"tokens_per_s": result.tokens_per_s, "peak_memory": result.peak_memory}


def train_article(directory: Path, steps: int) -> dict[str, float]:
    """Train as the article wrote it down, by TRL alone."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    class Clock(TrainerCallback):
        seconds = began = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            torch.cuda.synchronize()
            self.began = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            torch.cuda.synchronize()
            self.seconds += time.monotonic() - self.began

    has_bf16 = torch.cuda.get_device_capability() >= (8, 0)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float16
    )
    model = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float16, quantization_config=quantization, device_map={"": 0}
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as place:
        arguments = SFTConfig(
            output_dir=place,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=2e-4,
            lr_scheduler_type="cosine",
            weight_decay=0.001,
            max_grad_norm=0.3,
            optim="paged_adamw_32bit",
            bf16=has_bf16,
            fp16=not has_bf16,
            gradient_checkpointing=True,
            packing=True,
            packing_strategy="wrapped",
            max_length=LIMIT,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        ids = [one.input_ids for one in make_rows()]
        trainer = SFTTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"input_ids": ids, "labels": ids}),
            processing_class=AutoTokenizer.from_pretrained(directory),
            peft_config=LoraConfig(
                r=64,
                lora_alpha=16,
                lora_dropout=0.1,
                target_modules=["q_proj", "v_proj"],
                task_type="CAUSAL_LM",
            ),
            callbacks=[clock],
        )
        trainer.train()
    tokens = max(one.get("num_tokens", 0) for one in trainer.state.log_history)
    return {"tokens_per_s": tokens / clock.seconds, "peak_memory": torch.cuda.max_memory_allocated()}


def main() -> None:
    """Make the base, train both sides in processes of their own, print both and the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=int, default=32, help="32 is 7B; fewer for a smaller card")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--side", nargs=2, metavar=("WHO", "BASE"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        sys.exit("there is no CUDA GPU here: nothing was measured")
    if asked.side:
        train = {"ours": train_ours, "article": train_article}[asked.side[0]]
        print(json.dumps(train(Path(asked.side[1]), asked.steps)))
        return
    print(torch.cuda.get_device_name(0), flush=True)
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory) / "base"
        make_base(base, asked.layers)
        torch.cuda.empty_cache()
        for side in ("article", "ours"):
            command = [sys.executable, __file__, "--steps", str(asked.steps), "--side", side, str(base)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{side} failed:\n{done.stderr[-3000:]}")
            found[side] = json.loads(done.stdout.splitlines()[-1])
            print(side, json.dumps(found[side]), flush=True)
    speed, memory = (found["ours"][key] / found["article"][key] for key in ("tokens_per_s", "peak_memory"))
    print(f"ours is {speed:.2f} times as fast, with {memory:.2f} of the memory")


if __name__ == "__main__":
    main()
