from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny_llama import save_llama

from assistant.config import Config
from assistant.engine.loading import Parts, load_parts
from assistant.engine.measure import RESULT_NAME, measure, score_ids, score_row
from assistant.prompts import build_training_ids

ROW = {"task": "add two numbers", "input": "", "code": "def add(a, b):\n    return a + b"}

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def parts(model: Path) -> Parts:
    return load_parts(model, "tiny", "python-task", Config(), lambda _: None)


def run(model: Path, tmp_path: Path, rows: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    job = {"directory": str(model), "name": "tiny", "train_format": "python-task", "max_new_tokens": 5}
    job |= {"serve_format": "python-task", "rows": rows, **more}
    (tmp_path / "job.json").write_text(json.dumps(job))
    measure(tmp_path / "job.json", tmp_path, lambda _: None)
    return [json.loads(line) for line in (tmp_path / RESULT_NAME).read_text().splitlines()]


def test_a_row_is_scored_as_transformers_would_score_the_served_weights(
    model: Path, parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_ENGINE_QUANTIZATION", "none")
    from assistant.settings import read_config

    plain = load_parts(model, "tiny", "python-task", read_config(), lambda _: None)
    ids, labels = build_training_ids(parts.text.tokenizer, "python-task", ROW["task"], "", ROW["code"])
    nats, tokens, _ = score_ids(plain.network, ids, labels, 1024)
    library: Any = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    with torch.inference_mode():
        loss = library(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss
    assert tokens == sum(label >= 0 for label in labels)
    assert nats / tokens == pytest.approx(float(loss), rel=0.02)


def test_chunks_do_not_change_the_score(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, labels = build_training_ids(parts.text.tokenizer, "python-task", ROW["task"], "", ROW["code"])
    whole = score_ids(parts.network, ids, labels, 1024)
    monkeypatch.setattr("assistant.engine.measure.CHUNK", 17)
    parted = score_ids(parts.network, ids, labels, 1024)
    assert parted[0] == pytest.approx(whole[0], rel=0.01)
    assert parted[1] == whole[1]


def test_given_ids_are_scored_as_they_are(parts: Parts) -> None:
    ids, labels = build_training_ids(parts.text.tokenizer, "python-task", ROW["task"], "", ROW["code"])
    built = score_row(parts, "python-task", ROW)
    assert score_row(parts, "python-task", {**ROW, "ids": ids, "labels": labels}) == built


def test_answers_and_scores_stand_in_the_order_of_the_rows(model: Path, tmp_path: Path) -> None:
    rows = [{**ROW, "ask": True}, {**ROW, "other": "x = 1"}, {**ROW, "task": "subtract", "ask": True}]
    results = run(model, tmp_path, rows)
    assert [("reply" in one, "other_nats" in one) for one in results] == [
        (True, False),
        (False, True),
        (True, False),
    ]
    assert results[0]["new_tokens"] <= 5
    assert all(one["tokens"] == len(ROW["code"]) + 1 for one in results)


def test_a_row_without_code_is_answered_and_not_scored_with_the_penalty_asked_for(
    model: Path, tmp_path: Path
) -> None:
    rows = [{"task": ROW["task"], "input": "", "ask": True}]
    (plain,) = run(model, tmp_path, rows, max_new_tokens=30)
    (penalized,) = run(model, tmp_path, rows, max_new_tokens=30, repetition_penalty=1.5)
    assert plain["tokens"] == penalized["tokens"] == 0
    assert plain["reply"] != penalized["reply"]


def test_a_prompt_longer_than_the_context_has_no_answer(model: Path, tmp_path: Path) -> None:
    (long,) = run(model, tmp_path, [{**ROW, "task": "x" * 2000, "ask": True}])
    assert (long["reply"], long["ended"]) == ("", False)
    assert long["tokens"] == 0
