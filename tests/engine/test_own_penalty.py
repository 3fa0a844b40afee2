"""The repetition penalty that a model brings along, in its generation configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from jobs import Collected
from tiny_llama import save_llama

from assistant.config import EngineSettings
from assistant.engine import llama_weights
from assistant.engine.batch import BatchedModel
from assistant.engine.device import choose_placement
from assistant.engine.loading import Parts
from assistant.engine.text import ModelText
from assistant.errors import ModelError

NEW = 24
PROMPT = [100, 101, 102, 10, 32, 32, 120]
Start = Callable[[float | None], BatchedModel]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("tiny"), dtype=torch.float32)


def load_text(directory: Path) -> ModelText:
    return ModelText(directory, transformers.AutoConfig.from_pretrained(directory), "python-task")


def write_penalty(directory: Path, value: Any) -> None:
    document = {} if value is None else {"repetition_penalty": value}
    (directory / "generation_config.json").write_text(json.dumps(document))


@pytest.fixture
def start(directory: Path) -> Iterator[Start]:
    started: list[BatchedModel] = []

    def build(penalty: float | None) -> BatchedModel:
        write_penalty(directory, penalty)
        settings = EngineSettings(device="cpu", quantization="none", slots=1)
        placement = replace(choose_placement(settings, usable_cores=1), dtype=torch.float32)
        config: Any = transformers.AutoConfig.from_pretrained(directory)
        network = llama_weights.load_llama(directory, config, placement, 128, lambda _: None)
        text = load_text(directory)
        parts = Parts(network=network, text=text, context_tokens=128, placement=placement)
        started.append(parts.start("tiny"))
        return started[-1]

    yield build
    for model in started:
        model.close()


def answer(model: BatchedModel, penalty: float | None) -> str:
    done = Collected(PROMPT, max_tokens=NEW, repetition_penalty=penalty)
    model.submit(done.job)
    return done.wait().text()


def generate(directory: Path) -> str:
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(directory)
    ids = torch.tensor([PROMPT])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False)
    text = tokenizer.decode(out[0, len(PROMPT) :], skip_special_tokens=True)
    return text.rstrip("\ufffd")  # half a character at the end, which ours does not show


def test_a_model_answers_with_the_penalty_that_it_brings_as_transformers_has_it(
    directory: Path, start: Start
) -> None:
    model = start(1.3)
    own = answer(model, None)
    assert own == generate(directory)
    assert own == answer(model, 1.3)
    assert own != answer(model, 1.0)


def test_a_request_that_names_a_penalty_wins(start: Start) -> None:
    without = answer(start(None), None)
    assert answer(start(1.3), 1.0) == without


@pytest.mark.parametrize("value", ["1.1", True, 0, 2.5, float("nan"), [1.1]])
def test_a_penalty_that_cannot_be_used_is_named_with_its_file(directory: Path, value: object) -> None:
    write_penalty(directory, value)
    with pytest.raises(ModelError, match=r"generation_config\.json: repetition_penalty must be a number"):
        load_text(directory)
