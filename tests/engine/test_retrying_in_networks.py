"""Lines are taken back in a real network, whose cache must be cut and filled again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers
from jobs import Collected
from tiny_llama import save_llama

from assistant.config import EngineSettings
from assistant.engine import llama_weights
from assistant.engine.device import choose_placement
from assistant.engine.guard import Fault, Reading
from assistant.engine.loading import Parts
from assistant.engine.retrying import HeldLine
from assistant.engine.text import ModelText

FAULTS = 9


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    directory = save_llama(tmp_path_factory.mktemp("tiny"), dtype=torch.float32)
    settings = EngineSettings(device="cpu", quantization="none", slots=3, prefill_chunk=8)
    placement = replace(choose_placement(settings, usable_cores=1), dtype=torch.float32)
    config: Any = transformers.AutoConfig.from_pretrained(directory)
    network = llama_weights.load_llama(directory, config, placement, 128, lambda _: None)
    text = ModelText(directory, config, "python-task")
    text.end_ids = frozenset()
    return Parts(network=network, text=text, context_tokens=128, placement=placement)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[dict[int, tuple[int, torch.Tensor]]]:
    """For each answer the token at each place and its scores, as they are at last; all is code, often bad."""
    answers: dict[int, dict[int, tuple[int, torch.Tensor]]] = {}
    noted: list[dict[int, tuple[int, torch.Tensor]]] = []
    hold = HeldLine.hold
    calls = iter(range(10_000))

    def note(line: HeldLine, token: int, scores: torch.Tensor, stops: str, place: int) -> None:
        if id(line) not in answers:
            noted.append({})
            answers[id(line)] = noted[-1]
        answers[id(line)][place] = token, scores.clone()
        hold(line, token, scores, stops, place)

    def read(reading: Reading, text: str) -> Reading | Fault:
        call = next(calls)
        is_bad = call % 7 == 6 and call < 7 * FAULTS
        return Fault(message="bad") if is_bad else reading._replace(line=reading.line + text)

    monkeypatch.setattr(HeldLine, "hold", note)
    monkeypatch.setattr("assistant.engine.retrying.read_on", read)
    monkeypatch.setattr("assistant.engine.retrying.LINE_TRIES", FAULTS)
    monkeypatch.setattr("assistant.engine.retrying.PULL", 0.0)
    return noted


@pytest.mark.parametrize("sampling", [{"n": 1}, {"n": 3, "temperature": 1.0}], ids=["one", "three"])
def test_what_comes_after_a_line_taken_back_follows_from_what_stands(
    parts: Parts, held: list[dict[int, tuple[int, torch.Tensor]]], sampling: dict[str, Any]
) -> None:
    model = parts.start("tiny")
    ids = model.encode_text("fold the list\nfold the list\n")
    done = Collected(ids, syntax_guard=True, max_tokens=30, **sampling)
    model.submit(done.job)
    done.wait()
    model.close()
    assert done.end().taken_back == FAULTS
    assert len(held) == sampling["n"]
    for answer in held:
        tokens = [answer[place][0] for place in range(30)]
        for place in range(30):
            scores = answer[place][1]
            expected = parts.network.prefill(0, 0, [*ids, *tokens[:place]])
            expected = expected.masked_fill(scores.isinf(), -torch.inf)  # those that were tried
            torch.testing.assert_close(scores, expected, atol=1e-3, rtol=1e-3)
