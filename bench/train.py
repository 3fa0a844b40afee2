"""Tokens per second and peak memory of training on a CPU: ours, and stock TRL with bitsandbytes' nf4.

    python bench/train.py [--base MODEL] [--rounds 3] [--steps 3]

Same model, rows, batch, adapter, optimiser and schedule. Each side runs in a process of its own, by turns;
the medians are printed. Stock TRL keeps the base in four bits and dequantises it in every step, as it would
on a GPU; ours does it once. `OMP_NUM_THREADS` sets the threads of both.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from finetune.base import Base, find_base, hash_tokenizer
from finetune.rundir import RunDir, write_record
from finetune.tokenizing import TokenRow, write_tokens

BATCH = 8
ROWS = 64
RANK, ALPHA = 64, 128


def make_rows(vocabulary: int) -> list[TokenRow]:
    """Rows as long as MBPP's: half of their tokens are learnt."""
    chooser = random.Random(7)
    rows: list[TokenRow] = []
    for number in range(ROWS):
        length = chooser.randint(120, 360)
        ids = [chooser.randrange(100, vocabulary) for _ in range(length)]
        rows.append(TokenRow(input_ids=ids, labels=[-100] * (length // 2) + ids[length // 2 :], row=number))
    return rows


def train_ours(base: Base, rows: list[TokenRow], steps: int) -> dict[str, float]:
    """Train by `train_run`, in a run that holds the rows."""
    from finetune.training.options import build_options
    from finetune.training.train import train_run

    sets = (f"batch_size={BATCH}", f"max_steps={steps}", "dropout=0", "device=cpu", f"eval_steps={steps}")
    with tempfile.TemporaryDirectory() as directory:
        run = make_token_run(Path(directory) / "run", base, rows, 512)
        with run.locked():
            result = train_run(run, base, build_options(sets=[*sets, f"r={RANK}", f"alpha={ALPHA}"]))
    return {"tokens_per_s": result.tokens_per_s, "loss": result.loss}


def make_token_run(path: Path, base: Base, rows: list[TokenRow], limit: int) -> RunDir:
    """Make a run that holds these rows, as the data stages leave it."""
    run = RunDir(path)
    with run.locked():
        with run.open_stage("prepare") as stage:
            (stage / "rows.jsonl").touch()
            write_record(stage, "prepare", {})
        with run.open_stage("tokens") as stage:
            write_tokens(stage / "train.parquet", rows)
            write_tokens(stage / "eval.parquet", [])
            record = {
                "rows_sha256": hashlib.sha256(b"").hexdigest(),
                "tokenizer_sha256": hash_tokenizer(base.directory),
                "max_tokens": limit,
                "base": {"name": base.name, "directory": str(base.directory)},
            }
            write_record(stage, "tokens", record)
    return run


def train_stock(base: Base, rows: list[TokenRow], steps: int) -> dict[str, float]:
    """Train as TRL does by itself, in the order in which the rows stand."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    class Clock(TrainerCallback):
        seconds = began = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds += time.monotonic() - self.began

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    model = AutoModelForCausalLM.from_pretrained(
        base.directory, dtype=torch.float32, quantization_config=quantization
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as directory:
        arguments = SFTConfig(
            output_dir=directory,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=2e-4,
            lr_scheduler_type="cosine",
            bf16=False,
            use_cpu=True,
            optim="adamw_torch",
            gradient_checkpointing=False,
            max_length=None,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=42,
        )
        trainer = SFTTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict(
                {"input_ids": [one.input_ids for one in rows], "labels": [one.labels for one in rows]}
            ),
            processing_class=AutoTokenizer.from_pretrained(base.directory),
            peft_config=LoraConfig(
                r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[clock],
        )
        trainer.train()
    losses = [one["loss"] for one in trainer.state.log_history if "loss" in one]
    # Counted by its attention masks, so without padding.
    tokens = max(one.get("num_tokens", 0) for one in trainer.state.log_history)
    return {"tokens_per_s": tokens / clock.seconds, "loss": losses[-1]}


def measure(side: str, base: str, steps: int) -> None:
    """Run one side and print its numbers as the last line."""
    found = find_base(base)
    config = json.loads((found.directory / "config.json").read_text(encoding="utf-8"))
    train = train_ours if side == "ours" else train_stock
    result = train(found, make_rows(config["vocab_size"]), steps)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({**result, "peak_memory": peak}))


def run_side(side: str, base: str, steps: int) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--base", base, "--steps", str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{side} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure both sides by turns and print the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="", help="a model of the store, or a directory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--side", choices=["ours", "stock"], help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        measure(asked.side, asked.base, asked.steps)
        return
    found: dict[str, list[dict[str, float]]] = {"ours": [], "stock": []}
    for _ in range(asked.rounds):
        for side, results in found.items():
            results.append(run_side(side, asked.base, asked.steps))
            print(side, json.dumps(results[-1]), flush=True)
    speed = {side: statistics.median(one["tokens_per_s"] for one in all_) for side, all_ in found.items()}
    peak = {side: statistics.median(one["peak_memory"] for one in all_) for side, all_ in found.items()}
    for side in found:
        print(f"{side:6} {speed[side]:8.1f} tokens/s  {peak[side] / 1e9:6.2f} GB")
    print(
        f"ours is {speed['ours'] / speed['stock']:.1f} times as fast, with"
        f" {peak['ours'] / peak['stock']:.2f} of the memory"
    )


if __name__ == "__main__":
    main()
