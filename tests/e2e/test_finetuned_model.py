"""A fine-tuned model answers the same in our generator, in transformers, and in `transformers serve`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from homes import MODEL, Home
from transformers_server import transformers_serve

from finetune.pipeline import NOT_BETTER

pytestmark = [pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(1800)]

PLAIN = {"ASSISTANT_ENGINE_QUANTIZATION": "none", "OMP_NUM_THREADS": "1"}
NAME = "tuned"
TASKS = ("Write a function that adds two numbers.", "Write a function that reverses a string.")
NEW_TOKENS = 40


@pytest.fixture(scope="module")
def tuned(model_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The embedded model after four steps on forty rows, published by the program itself."""
    data = tmp_path_factory.mktemp("data") / "d.jsonl"
    rows = [
        {
            "instruction": f"Write a function that adds {n} and {n * n}.",
            "output": f"def add_{n}():\n    return {n} + {n * n}",
        }
        for n in range(40)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    short = ("--set", "max_steps=4", "--set", "batch_size=4", "--set", "threads=1", "--set", "r=8")
    gate = ("--eval-share", "0.25", "--gate-answers", "2", "--gate-tokens", "20", "--yes", "--no-activate")
    process = model_home.start(
        "finetune",
        str(data),
        "--base",
        MODEL,
        "--name",
        NAME,
        *short,
        *gate,
        "--export",
        "merged16",
        env=PLAIN,
    )
    out, err = process.communicate(timeout=1200)
    assert process.returncode in (0, NOT_BETTER), err + out
    yield model_home.path / "data" / "models" / NAME
    assert model_home.run("models", "remove", NAME, "--yes").returncode == 0
    shutil.rmtree(model_home.path / "data" / "runs" / NAME)


def answer_by_generate(model: Path, task: str) -> str:
    """Ask transformers itself, in a process of its own, in the type that our generator computes in."""
    code = (
        "import sys, torch, transformers\n"
        "torch.set_num_threads(1)\n"
        "model, task, tokens = sys.argv[1:]\n"
        "tokenizer = transformers.AutoTokenizer.from_pretrained(model)\n"
        "network = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)\n"
        "ids = tokenizer.apply_chat_template([{'role': 'user', 'content': task}],"
        " add_generation_prompt=True, return_tensors='pt', return_dict=True)\n"
        "out = network.generate(**ids, max_new_tokens=int(tokens), do_sample=False)\n"
        "print(tokenizer.decode(out[0][ids['input_ids'].shape[1]:], skip_special_tokens=True), end='')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model), task, str(NEW_TOKENS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def served(tuned: Path, model_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scratch = tmp_path_factory.mktemp("serve")
    with transformers_serve(tuned, model_home, scratch, "--dtype", "bfloat16") as address:
        yield f"{address}/chat/completions"


def answer_by_server(url: str, model: Path, task: str) -> str:
    body: dict[str, Any] = {"model": str(model), "messages": [{"role": "user", "content": task}]}
    body |= {"max_tokens": NEW_TOKENS, "temperature": 0, "stream": False}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=240) as response:
        return json.load(response)["choices"][0]["message"]["content"]


@pytest.mark.parametrize("task", TASKS)
def test_all_three_answer_alike(home: Home, tuned: Path, served: str, task: str) -> None:
    done = home.run(
        "ask", task, "-m", NAME, "--json", "--max-tokens", str(NEW_TOKENS), "--temperature", "0", env=PLAIN
    )
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout)["text"]
    assert answer_by_generate(tuned, task).strip() == ours.strip()
    assert answer_by_server(served, tuned, task).strip() == ours.strip()


def test_the_16_bit_export_holds_what_was_trained(model_home: Home, tuned: Path) -> None:
    run = model_home.path / "data" / "runs" / NAME
    equality = json.loads((run / "merged16" / "record.json").read_text())["equality"]
    assert equality["onto"] == "nf4"
    assert equality["kl"] <= 0.001
    assert equality["top1"] >= 0.99
