from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from assistant.engine import bandwidth, loading, lookup
from bench.gpu import measure, summarize
from bench.speed.random_llama import SMALL, write_random_llama


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = torch.get_num_threads()
    monkeypatch.setattr(lookup, "LONGEST", lookup.LONGEST)
    monkeypatch.setattr(loading, "usable_cores", lambda: 1)
    monkeypatch.setitem(bandwidth.BYTES, "cpu", 2**20)
    yield
    torch.set_num_threads(before)


def test_both_sides_answer_by_turns_on_a_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_HOME", str(tmp_path / "home"))
    write_random_llama(tmp_path / "model", {**SMALL, "num_hidden_layers": 1})
    found = measure(tmp_path / "model", "cpu", 4, 1)
    assert found["decode_ratio"] == pytest.approx(found["ours"]["tokens_per_s"] / found["hf"]["tokens_per_s"])
    assert all(found[side]["first_token_s"] > 0 for side in ("ours", "hf"))
    assert all(found[side]["bandwidth_share"] > 0 for side in ("ours", "hf"))


def test_the_share_of_the_bandwidth_is_what_the_weights_take_of_it() -> None:
    runs = {
        "ours": [{"tokens": 101, "first_s": 0.2, "decode_s": seconds} for seconds in (1.0, 2.0, 1.0)],
        "hf": [{"tokens": 101, "first_s": 0.1, "decode_s": seconds} for seconds in (5.0, 10.0, 5.0)],
    }
    found = summarize(runs, bandwidth=800e9, token_bytes=4_000_000_000)
    assert found["limit_tokens_per_s"] == 200
    assert found["decode_ratio"] == 5
    assert found["ours"] == {"tokens_per_s": 100, "first_token_s": 0.2, "bandwidth_share": 0.5}
