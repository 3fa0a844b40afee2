# pyright: basic
"""From logits to a token. Pure tensor functions; knows no model and no text."""

from __future__ import annotations

import torch
from torch import Tensor


def choose_token(logits: Tensor, *, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """Choose the next token of one sequence.

    Args:
        logits: (vocab,), finite.
        temperature: 0 takes the likeliest.
        top_p: Keep the likeliest tokens up to this probability (nucleus sampling, Holtzman et al., 2020).
        generator: The sequence's own random numbers, on the CPU.
    """
    if temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits.cpu().float() / temperature, dim=-1)  # (vocab,)
    if top_p < 1:
        probabilities = keep_nucleus(probabilities, top_p)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def keep_nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Zero all but the likeliest tokens that together reach `top_p`; at least one stays.

    Args:
        probabilities: (vocab,), adding up to 1.
        top_p: Above 0.

    Returns:
        (vocab,), not scaled to add up to 1.
    """
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=0) - ordered  # the mass of the likelier ones
    return torch.zeros_like(probabilities).scatter(0, order, ordered.where(before < top_p, 0.0))
