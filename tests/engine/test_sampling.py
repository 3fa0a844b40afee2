from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
import transformers
from jobs import Collected

from assistant.config import EngineSettings
from assistant.engine.device import choose_placement
from assistant.engine.kernels.compiling import find_kernels, find_obstacle
from assistant.engine.loading import Parts
from assistant.engine.sampling import (
    choose_token,
    draw_by_torch,
    draw_token,
    filter_scores,
    find_nucleus,
    penalize_repetition,
)
from assistant.requests import Sampling

warpers: Any = transformers


def test_temperature_zero_takes_the_likeliest() -> None:
    scores = torch.tensor([0.1, 3.0, 2.9])
    assert choose_token(scores, Sampling(top_k=2, min_p=0.5), Random(), draw_by_torch) == 1


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("top_p", [0.9, 1.0])
@pytest.mark.parametrize("place", [0, 700, 999])
def test_nothing_is_chosen_of_scores_that_are_not_finite(
    bad: float, temperature: float, top_p: float, place: int
) -> None:
    scores = torch.randn(1000, generator=torch.Generator().manual_seed(1))
    scores[place] = bad
    with pytest.raises(ArithmeticError):
        choose_token(scores, Sampling(temperature=temperature, top_p=top_p), Random(0), draw_by_torch)


def test_the_same_seed_chooses_the_same_tokens() -> None:
    scores = torch.randn(500, generator=torch.Generator().manual_seed(1))

    def draw(seed: int) -> list[int]:
        generator = Random(seed)
        sampling = Sampling(temperature=1, top_p=0.9)
        return [choose_token(scores, sampling, generator, draw_by_torch) for _ in range(30)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    scores = torch.tensor([0.5, 0.3, 0.2]).log()
    generator = Random(0)
    draws = [choose_token(scores, Sampling(temperature=1), generator, draw_by_torch) for _ in range(3000)]
    shares = [draws.count(token) / len(draws) for token in range(3)]
    assert all(abs(share - expected) < 0.03 for share, expected in zip(shares, [0.5, 0.3, 0.2], strict=True))


@pytest.mark.parametrize("sharpness", [0.0, 0.5, 4.0])
def test_the_nucleus_of_many_tokens_is_that_of_all_of_them_sorted(sharpness: float) -> None:
    probabilities = torch.softmax(
        sharpness * torch.randn(4000, generator=torch.Generator().manual_seed(3)), -1
    )
    kept = find_nucleus(probabilities, 0.9)
    ordered = probabilities.sort(descending=True).values
    count = int((ordered.cumsum(0) - ordered < 0.9).sum())
    assert int(kept.sum()) == count
    assert float(probabilities[kept].min()) == float(ordered[count - 1])


def test_a_token_without_probability_is_never_drawn() -> None:
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.5, 0.0])
    assert {draw_token(probabilities, mark) for mark in (1e-300, 0.3, 0.5, 0.500001, 0.9, 1.0)} == {1, 3}


@pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle() or "can be compiled here")
@pytest.mark.parametrize("vocabulary", [3, 50, 256, 4000])
@pytest.mark.parametrize("temperature", [0.01, 0.8, 3.0])
def test_the_kernels_draw_what_torch_does(vocabulary: int, temperature: float) -> None:
    kernels = find_kernels()
    assert kernels is not None
    chance = torch.Generator().manual_seed(5)
    scores = 3 * torch.randn(vocabulary, generator=chance)
    scores[::3] = -torch.inf
    probabilities = torch.softmax(scores / temperature, dim=0)
    for mark in (1e-300, 1.0, *torch.rand(100, generator=chance).tolist()):
        drawn = kernels.draw(scores, temperature, mark)
        wanted = draw_token(probabilities, mark)
        near = probabilities.double().cumsum(0)[min(drawn, wanted) : max(drawn, wanted)]
        assert scores[drawn] > -torch.inf
        assert all((near - mark).abs() < 1e-5)  # where the mark lies between them, rounding decides


@pytest.mark.skipif(bool(find_obstacle()), reason=find_obstacle() or "can be compiled here")
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_the_kernels_draw_nothing_where_a_score_is_no_number(bad: float) -> None:
    kernels = find_kernels()
    assert kernels is not None
    for place in (0, 40, 300):
        scores = torch.zeros(301)
        scores[place] = bad
        assert kernels.draw(scores, 0.5, 0.5) == -1
    assert kernels.draw(torch.full((20,), -torch.inf), 0.5, 0.5) == -1


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    probabilities = torch.tensor([0.1, 0.5, 0.15, 0.25])
    assert find_nucleus(probabilities, 0.7).nonzero().flatten().tolist() == [1, 3]
    assert find_nucleus(probabilities, 0.5).nonzero().flatten().tolist() == [1]
    assert find_nucleus(probabilities, 0.01).nonzero().flatten().tolist() == [1]
    assert int(find_nucleus(probabilities, 1.0).sum()) == 4


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0.7},
        {"temperature": 1.3, "top_k": 5},
        {"temperature": 1.0, "top_k": 1},
        {"temperature": 1.0, "top_k": 10_000},
        {"temperature": 0.8, "top_p": 0.6},
        {"temperature": 1.5, "min_p": 0.1},
        {"temperature": 0.9, "top_k": 40, "top_p": 0.8, "min_p": 0.05},
        {"temperature": 2.0, "top_k": 8, "top_p": 0.5, "min_p": 0.9},
    ],
    ids=str,
)
def test_filters_leave_what_transformers_leaves(options: dict[str, Any], seed: int) -> None:
    logits = 3 * torch.randn(300, generator=torch.Generator().manual_seed(seed))
    steps = [warpers.TemperatureLogitsWarper(float(options["temperature"]))]
    if options.get("top_k"):
        steps.append(warpers.TopKLogitsWarper(options["top_k"]))
    if options.get("top_p"):
        steps.append(warpers.TopPLogitsWarper(options["top_p"]))
    if options.get("min_p"):
        steps.append(warpers.MinPLogitsWarper(options["min_p"]))
    expected = logits[None]
    for step in steps:
        expected = step(torch.zeros((1, 1), dtype=torch.long), expected)
    ours = filter_scores(logits, Sampling(**options))
    torch.testing.assert_close(ours.softmax(-1), expected[0].softmax(-1))


@pytest.mark.parametrize("penalty", [0.7, 1.0, 1.3, 2.0])
def test_the_repetition_penalty_is_that_of_transformers(penalty: float) -> None:
    logits = torch.randn(50, generator=torch.Generator().manual_seed(2))
    seen = [3, 3, 7, 49, 0, 7]
    processor = warpers.RepetitionPenaltyLogitsProcessor(penalty)
    expected = processor(torch.tensor([seen]), logits[None].clone())[0]
    assert torch.equal(penalize_repetition(logits, seen, penalty), expected)


class Echo:
    """Likes best to repeat the last token, and any other the less the larger its number is."""

    vocab_size = 32
    quantization = "none"
    memory_bytes = 0
    keeps_prefixes = True
    is_invariant = False
    draw = staticmethod(draw_by_torch)
    slots = 1

    def prefill(self, slot: int, start: int, ids: list[int]) -> torch.Tensor:
        return self._logits(ids[-1])

    def decode_step(self, slots: list[int], positions: list[int], ids: list[list[int]]) -> torch.Tensor:
        return torch.stack([self._logits(token) for token in ids[0]])

    def _logits(self, last: int) -> torch.Tensor:
        logits = 4 - 0.1 * torch.arange(self.vocab_size)
        logits[last] = 5.0
        return logits


class Numbers:
    """Every token is its number and a space."""

    prompt_format = "chat"
    end_ids = frozenset({31})
    repetition_penalty = 1.0

    def open_stream(self) -> Any:
        return self

    def push(self, token: int) -> str:
        return f"{token} "


def answer(prompt: list[int], **sampling: Any) -> str:
    network: Any = Echo()
    text: Any = Numbers()
    placement = choose_placement(EngineSettings(device="cpu", prefill_chunk=4), usable_cores=2)
    model = Parts(network=network, text=text, context_tokens=64, placement=placement).start("echo")
    done = Collected(prompt, **sampling)
    model.submit(done.job)
    done.wait()
    model.close()
    return done.text()


def test_the_penalty_counts_prompt_and_answer_also_where_tokens_were_guessed() -> None:
    repeating = [9, 9, 9, 9, 9, 9]  # guesses are right without the penalty, and wrong with it
    assert answer(repeating, max_tokens=4) == "9 9 9 9 "
    assert answer(repeating, max_tokens=4, repetition_penalty=2.0) == "0 1 2 3 "


def test_one_token_left_to_sample_from_is_the_likeliest() -> None:
    assert answer([9, 4], max_tokens=3, temperature=2.0, top_k=1) == "4 4 4 "
    assert answer([9, 4], max_tokens=3, temperature=2.0, min_p=1.0) == "4 4 4 "
