from __future__ import annotations

import torch

from assistant.engine.sampling import choose_token, keep_nucleus


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = torch.tensor([0.1, 3.0, 2.9])
    assert choose_token(logits, temperature=0, top_p=1, generator=torch.Generator()) == 1


def test_the_same_seed_chooses_the_same_tokens() -> None:
    logits = torch.randn(500, generator=torch.Generator().manual_seed(1))

    def draw(seed: int) -> list[int]:
        generator = torch.Generator().manual_seed(seed)
        return [choose_token(logits, temperature=1, top_p=0.9, generator=generator) for _ in range(30)]

    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_tokens_are_drawn_as_often_as_they_are_likely() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2]).log()
    generator = torch.Generator().manual_seed(0)
    draws = [choose_token(logits, temperature=1, top_p=1, generator=generator) for _ in range(3000)]
    shares = [draws.count(token) / len(draws) for token in range(3)]
    assert all(abs(share - expected) < 0.03 for share, expected in zip(shares, [0.5, 0.3, 0.2], strict=True))


def test_the_nucleus_is_the_smallest_set_that_reaches_top_p() -> None:
    probabilities = torch.tensor([0.1, 0.5, 0.15, 0.25])
    assert keep_nucleus(probabilities, 0.7).nonzero().flatten().tolist() == [1, 3]
    assert keep_nucleus(probabilities, 0.5).nonzero().flatten().tolist() == [1]
    assert keep_nucleus(probabilities, 0.01).nonzero().flatten().tolist() == [1]
    assert keep_nucleus(probabilities, 1.0).nonzero().numel() == 4
