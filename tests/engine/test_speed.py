from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llama import save_llama

from assistant.config import Config, EngineSettings
from assistant.engine import bandwidth, loading
from assistant.engine.batch import BatchedModel
from assistant.engine.loading import Parts, load_parts
from assistant.engine.speed import RESULT_NAME, measure_speed
from assistant.engine.timing import time_job, time_jobs
from assistant.errors import ModelError
from assistant.requests import Sampling

SAMPLING = Sampling(max_tokens=6, seed=0)
PROMPT = list(range(1, 151))


@pytest.fixture(scope="module", autouse=True)
def one_core() -> Iterator[None]:
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "usable_cores", lambda: 1)
        patch.setitem(bandwidth.BYTES, "cpu", 2**20)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def parts(directory: Path) -> Parts:
    config = Config(engine=EngineSettings(slots=4))
    return load_parts(directory, "tiny", "python-task", config, lambda _: None)


@pytest.fixture(scope="module")
def model(parts: Parts) -> Iterator[BatchedModel]:
    model = parts.start("tiny")
    yield model
    model.close()


def measure(directory: Path, tmp_path: Path, **more: Any) -> dict[str, Any]:
    turn = {"role": "user", "text": "add", "input": ""}
    reply = {"role": "assistant", "text": "def add(a, b):\n    return a + b", "input": ""}
    job = {"directory": str(directory), "name": "tiny", "prompt_format": "python-task", "served_as": ""}
    job |= {"max_tokens": 6, "rounds": 2, "batch": 8}
    job |= {"prompts": {"write": [[turn]], "edit": [[{**turn, "input": reply["text"]}]]}, **more}
    (tmp_path / "job.json").write_text(json.dumps(job))
    measure_speed(tmp_path / "job.json", tmp_path, lambda _: None)
    return json.loads((tmp_path / RESULT_NAME).read_text())


def test_every_prompt_of_every_round_is_answered_cold_and_warm(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_ENGINE_SLOTS", "4")
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    found = measure(directory, tmp_path)
    assert [run["kind"] for run in found["runs"]] == ["write", "edit"] * 2
    assert {run["cached_tokens"] for run in found["runs"]} == {0}
    assert all(run["warm_cached_tokens"] >= 64 for run in found["runs"])
    assert all(run["first_s"] > 0 for run in found["runs"])
    assert [batch["size"] for batch in found["batches"]] == [4, 4]
    assert (found["quantization"], found["slots"], found["decode_threads"]) == ("int4", 4, 1)
    assert found["bandwidth"] > 0
    assert found["process_bytes"] > found["token_bytes"] > 0


def test_a_prompt_beyond_the_context_is_refused_with_both_numbers(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path))
    turn = {"role": "user", "text": "x" * 2000, "input": ""}
    with pytest.raises(ModelError, match="does not fit a context of 1024"):
        measure(directory, tmp_path, prompts={"write": [[turn]]})


def test_a_token_reads_all_weights_but_the_embedding(parts: Parts) -> None:
    network = parts.network
    embedding = network.vocab_size * 64 * 2
    cache = 4 * 2 * 2 * 2 * 1024 * 16 * 2  # slots, layers, keys and values, heads, tokens, head size, bytes
    assert network.token_bytes == network.memory_bytes - cache - embedding


def test_first_token_and_decoding_are_timed_apart(model: BatchedModel) -> None:
    timing = time_job(model, PROMPT, SAMPLING)
    assert timing.prompt_tokens == 150
    assert timing.tokens <= 6
    assert timing.first_s > 0
    assert timing.decode_s > 0


def test_jobs_at_once_are_timed_each_by_itself_in_their_order(model: BatchedModel) -> None:
    alone = [time_job(model, PROMPT[:length], SAMPLING) for length in (20, 30, 40)]
    together = time_jobs(model, [PROMPT[:length] for length in (20, 30, 40)], SAMPLING)
    assert [one.prompt_tokens for one in together] == [20, 30, 40]
    assert [one.tokens for one in together] == [one.tokens for one in alone]


def test_forgotten_prompts_are_computed_again(model: BatchedModel) -> None:
    model.forget_prompts()
    assert time_job(model, PROMPT, SAMPLING).cached_tokens == 0
    assert time_job(model, PROMPT, SAMPLING).cached_tokens == 128
    model.forget_prompts()
    assert time_job(model, PROMPT, SAMPLING).cached_tokens == 0


def test_a_job_that_fails_raises_its_error(model: BatchedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(model._network, "prefill", fail)
    with pytest.raises(Exception, match="no room for this request"):
        time_job(model, PROMPT[:10], replace(SAMPLING, max_tokens=1))
