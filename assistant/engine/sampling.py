# pyright: basic
"""From logits to a token. Pure tensor functions; knows no model and no text.

The order is that of transformers, so that settings can be carried over: repetition penalty, temperature,
top-k, top-p, min-p; each sees what the one before has left, as probabilities that add up to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

import numpy as np
import torch
from torch import Tensor

from assistant.engine.kernels.ops import Kernels
from assistant.requests import Sampling

LIKELIEST = 256
"""Where so many reach top-p together, the other tokens are not sorted: of 49,152, that takes 8 ms."""
BLOCK = 256
"""Probabilities that are added up at once where one is drawn."""


Draw = Callable[[Tensor, float, Random], int]
"""(scores (vocab,), float32, some may be minus infinity; temperature, above 0; random numbers) -> a token,
drawn by one random number with the probabilities softmax(scores / temperature).

Raises FloatingPointError where one of the scores is no number, or none is finite.
"""


def choose_token(scores: Tensor, sampling: Sampling, generator: Random, draw: Draw) -> int:
    """Choose the next token of one sequence.

    Args:
        scores: (vocab,), logits with the repetition penalty; some may be minus infinity.
        sampling: Temperature 0 takes the likeliest.
        generator: The sequence's own random numbers.
        draw: What draws from the scores that are left.

    Raises:
        FloatingPointError: A score is no number, or plus infinity. Seen here, it costs no look at all.
    """
    if sampling.temperature == 0:
        # torch's own takes ten times as long on a CPU.
        token = int(scores.numpy().argmax() if scores.device.type == "cpu" else scores.argmax())
        if not math.isfinite(scores[token].item()):
            raise FloatingPointError("a score is not finite")
        return token
    scores = scores.cpu().float()
    if sampling.top_k == 0 and sampling.top_p == 1 and sampling.min_p == 0:
        return draw(scores, sampling.temperature, generator)
    return draw(filter_scores(scores, sampling), 1.0, generator)


def draw_by_torch(scores: Tensor, temperature: float, generator: Random) -> int:
    """Draw a token; a `Draw`."""
    return draw_token(torch.softmax(scores / temperature, dim=-1), draw_mark(generator))


def draw_by_kernels(kernels: Kernels) -> Draw:
    """Return a `Draw` that takes a quarter of the time."""

    def draw(scores: Tensor, temperature: float, generator: Random) -> int:
        token = kernels.draw(scores, temperature, draw_mark(generator))
        if token < 0:
            raise FloatingPointError("scores are not finite")
        return token

    return draw


def draw_mark(generator: Random) -> float:
    """Draw a number above 0 and at most 1."""
    return 1 - generator.random()


def draw_token(probabilities: Tensor, mark: float) -> int:
    """Return the first token up to which the probabilities add up to a share of all of them.

    Args:
        probabilities: (vocab,), at least one above 0. One that is 0 is never drawn.
        mark: The share, above 0.

    Raises:
        FloatingPointError: One is no number.
    """
    # Block by block, by numpy: to add up all of them one after another takes six times as long.
    numbers = probabilities.numpy()
    sums = np.add.reduceat(numbers, np.arange(0, len(numbers), BLOCK)).cumsum(dtype=np.float64)
    if not math.isfinite(sums[-1]):
        raise FloatingPointError("probabilities are not finite")
    mark *= sums[-1]
    block = int(sums.searchsorted(mark))
    before = sums[block - 1] if block else 0.0
    inner = numbers[block * BLOCK : (block + 1) * BLOCK].cumsum(dtype=np.float64)
    return block * BLOCK + int(inner.searchsorted(min(mark - before, inner[-1])))


def penalize_repetition(logits: Tensor, seen: Sequence[int], penalty: float) -> Tensor:
    """Make tokens that have been seen less likely (Keskar et al., 2019).

    Args:
        logits: (vocab,).
        seen: The prompt's and the answer's tokens.
        penalty: Above 1 for less likely, below for more.

    Returns:
        (vocab,): logits above 0 divided by the penalty, those below multiplied with it.
    """
    places = torch.tensor(seen, device=logits.device)  # one that comes twice is given the same value twice
    own = logits[places]
    return logits.index_put((places,), torch.where(own < 0, own * penalty, own / penalty))


def filter_scores(scores: Tensor, sampling: Sampling) -> Tensor:
    """Divide scores by the temperature and leave out what is not to be sampled from.

    Args:
        scores: (vocab,), float32.
        sampling: Its temperature is above 0.

    Returns:
        (vocab,), minus infinity where a token is left out. The likeliest stays.
    """
    scores = scores / sampling.temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        scores = _drop(scores, scores < scores.topk(sampling.top_k).values[-1])
    if sampling.top_p < 1:
        scores = _drop(scores, ~find_nucleus(torch.softmax(scores, dim=-1), sampling.top_p))
    if sampling.min_p > 0:
        probabilities = torch.softmax(scores, dim=-1)
        scores = _drop(scores, probabilities < sampling.min_p * probabilities.max())
    return scores


def find_nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Find the likeliest tokens that together reach `top_p` (nucleus sampling, Holtzman et al., 2020).

    Args:
        probabilities: (vocab,), adding up to 1.
        top_p: Above 0.

    Returns:
        (vocab,), bool; at least one is true.
    """
    count = min(LIKELIEST, probabilities.shape[-1])
    ordered, order = probabilities.topk(count)
    if count < probabilities.shape[-1] and ordered.sum() < top_p:
        ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=0) - ordered  # the mass of the likelier ones
    return torch.zeros_like(probabilities, dtype=torch.bool).scatter(0, order, before < top_p)


def _drop(scores: Tensor, dropped: Tensor) -> Tensor:
    return scores.masked_fill(dropped, -torch.inf)
