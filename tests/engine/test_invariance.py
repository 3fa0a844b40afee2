"""With the compiled kernels, an answer does not depend on what is computed with it or was computed before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from jobs import Collected
from tiny_llama import save_llama
from torch import Tensor

from assistant.config import EngineSettings
from assistant.engine import llama_weights
from assistant.engine.batch import BatchedModel
from assistant.engine.device import choose_placement
from assistant.engine.kernels.compiling import find_kernels, find_obstacle
from assistant.engine.llama import LlamaNetwork
from assistant.engine.loading import Parts
from assistant.engine.text import ModelText

pytestmark = pytest.mark.skipif(
    bool(find_obstacle()), reason=find_obstacle() or "kernels can be compiled here"
)

CONTEXT = 256


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_llama(tmp_path_factory.mktemp("tiny"), dtype=torch.float32, head_dim=32)


def load(directory: Path, quantization: str, *, compiled: bool = True) -> LlamaNetwork:
    settings = EngineSettings(device="cpu", quantization=quantization, slots=4, prefill_chunk=8)
    placement = choose_placement(settings, usable_cores=1)
    config: Any = transformers.AutoConfig.from_pretrained(directory)
    kernels = find_kernels() if compiled else None
    network = llama_weights.load_llama(directory, config, placement, CONTEXT, lambda _: None, kernels)
    assert network.is_invariant is compiled
    return network


@pytest.fixture(params=["int4", "int8"], scope="module")
def model(directory: Path, request: pytest.FixtureRequest) -> Iterator[BatchedModel]:
    text = ModelText(directory, transformers.AutoConfig.from_pretrained(directory), "python-task")
    text.end_ids = frozenset()
    placement = choose_placement(EngineSettings(device="cpu", slots=4, prefill_chunk=8), usable_cores=1)
    network = load(directory, request.param)
    parts = Parts(network=network, text=text, context_tokens=CONTEXT, placement=placement)
    model = parts.start("tiny")
    yield model
    model.close()


JOBS: list[tuple[str, dict[str, Any]]] = [
    ("fold the list\nfold the list\n", {}),
    ("x", {"n": 3, "temperature": 1.0}),
    ("sort these numbers and return them " * 3, {"temperature": 0.7, "top_p": 0.9}),
    ("fold the list\nfold the list\nfold", {"repetition_penalty": 1.2}),
]


def run(model: BatchedModel, jobs: list[tuple[str, dict[str, Any]]]) -> list[list[str]]:
    done = [
        Collected(model.encode_text(text), **{"max_tokens": 40, "syntax_guard": False, **sampling})
        for text, sampling in jobs
    ]
    for one in done:
        model.submit(one.job)
    return [[one.wait().text(i) for i in range(one.job.sampling.n)] for one in done]


def run_cold(model: BatchedModel, jobs: list[tuple[str, dict[str, Any]]]) -> list[list[str]]:
    model.forget_prompts()
    return run(model, jobs)


def test_answers_are_the_same_alone_and_together(model: BatchedModel) -> None:
    alone = [run_cold(model, [job])[0] for job in JOBS]
    assert run_cold(model, JOBS) == alone
    assert len({answer for answers in alone for answer in answers}) == 6


def test_answers_are_the_same_cold_and_after_others(model: BatchedModel) -> None:
    cold = [run_cold(model, [job])[0] for job in JOBS]
    for _ in range(2):
        for job, expected in zip(JOBS, cold, strict=True):
            assert run(model, [job]) == [expected]


def test_a_further_turn_computes_only_what_is_new(model: BatchedModel) -> None:
    model.forget_prompts()
    first = model.encode_text(JOBS[0][0])
    done = Collected(first, max_tokens=20, syntax_guard=False)
    model.submit(done.job)
    answer = model.encode_text(done.wait().text())
    turn = [*first, *answer[:10], *model.encode_text("again")]
    answers: list[Collected] = []
    for is_cold in (False, True):
        if is_cold:
            model.forget_prompts()
        answers.append(Collected(turn, max_tokens=20, syntax_guard=False))
        model.submit(answers[-1].job)
        answers[-1].wait()
    warm, cold = answers
    assert warm.end().cached_tokens >= len(first)
    assert cold.end().cached_tokens == 0
    assert cold.text() == warm.text()


@pytest.mark.parametrize("quantization", ["int4", "int8"])
def test_likely_logits_are_as_near_to_the_unrounded_ones_as_those_that_torch_computes(
    directory: Path, quantization: str
) -> None:
    ids = [1, 5, 77, 3, 50, 9, 9, 42, 17, 80, 2, 66, 31, 10, 7, 8, 20, 55, 4, 90]
    ours, torchs = load(directory, quantization), load(directory, quantization, compiled=False)
    unrounded = load(directory, "none", compiled=False)
    rows: list[Tensor] = []
    for network in (unrounded, torchs, ours):
        network.prefill(1, 0, ids[:12])
        rows.append(network.decode_step([1], [12], [ids[12:]]))
    likeliest = rows[0].topk(5).indices
    wanted, *others = [row.gather(1, likeliest) for row in rows]
    by_torch, by_kernels = [float((other - wanted).norm() / wanted.norm()) for other in others]
    assert by_kernels < 1.2 * by_torch + 0.005
