from __future__ import annotations

from typing import Any

import pytest

from bench.speed.figures import (
    OwnFigures,
    Sample,
    build_aggregate,
    build_ratios,
    build_slowest_first,
    find_best,
    find_firsts,
    find_median,
    find_ratio,
    find_speeds,
)
from bench.speed.large import build_memory
from bench.speed.table import render_ratios, render_table

FAMILIES = {"ours": "ours", "HF nf4": "hf", "llama.cpp Q4_0": "llama.cpp", "ORT int4": "ort"}


def sample(engine: str, kind: str = "write", round_: int = 0, **changes: Any) -> Sample:
    values: dict[str, Any] = {"tokens": 101, "first_s": 0.1, "decode_s": 1.0}
    return Sample(engine=engine, kind=kind, round=round_, **values | changes)


def field(kind: str = "write") -> list[Sample]:
    """Three rounds: the machine is half as fast in the second, for everybody."""
    seconds = {"ours": 0.5, "HF nf4": 2.0, "llama.cpp Q4_0": 0.6, "ORT int4": 0.8}
    firsts = {"ours": 0.2, "HF nf4": 0.05, "llama.cpp Q4_0": 0.4, "ORT int4": 0.25}
    return [
        sample(name, kind, number, decode_s=seconds[name] * slow, first_s=firsts[name] * slow)
        for name in seconds
        for number, slow in enumerate((1, 2, 1))
    ]


def test_a_rounds_speed_counts_all_answers_after_their_first_tokens() -> None:
    samples = [sample("a", tokens=11, decode_s=1.0), sample("a", tokens=31, decode_s=1.0)]
    assert find_speeds(samples, "a", "write") == {0: 20.0}


def test_answers_of_one_token_and_other_kinds_have_no_speed() -> None:
    samples = [sample("a", tokens=1, decode_s=0.0), sample("a", "edit"), sample("b")]
    assert find_speeds(samples, "a", "write") == {}


def test_a_rounds_first_token_is_the_median_of_its_answers() -> None:
    samples = [sample("a", first_s=seconds) for seconds in (0.1, 0.2, 5.0)]
    assert find_firsts(samples, "a", "write") == {0: 0.2}


def test_ratios_are_taken_within_rounds() -> None:
    assert find_ratio({0: 10.0, 1: 100.0, 2: 10.0}, {0: 5.0, 1: 50.0, 2: 5.0}) == 2.0


def test_without_a_common_round_there_is_no_ratio() -> None:
    assert find_ratio({0: 1.0}, {1: 1.0}) is None
    assert find_ratio({0: 1.0}, {0: 0.0}) is None
    assert find_median({}) is None


def test_the_best_is_the_highest_median_or_the_lowest_when_asked() -> None:
    figures = {"a": {0: 1.0, 1: 9.0, 2: 1.0}, "b": {0: 2.0, 1: 2.0, 2: 2.0}, "missing": {}}
    assert find_best(figures) == "b"
    assert find_best(figures, choose=min) == "a"
    assert find_best({}) is None


def test_the_object_has_exactly_the_ratios_that_were_promised() -> None:
    own = OwnFigures(same=29, compared=30, chat_warm={0: 0.2}, repeated={0: 0.1, 1: 0.3, 2: 0.25})
    own.batch, own.clients_first, own.clients_all = {0: 3.5}, {0: 1.5}, {0: 2.5}
    found = build_ratios([*field(), *field("edit")], FAMILIES, own, {"1b": {}}, {"cores": 2})
    assert found == {
        "write": {
            "decode_vs_hf_nf4": pytest.approx(4.0),
            "decode_vs_best_peer": pytest.approx(1.2),
            "ttft_vs_best_peer": pytest.approx(0.8),
        },
        "edit": {"decode_vs_best_peer": pytest.approx(1.2), "identical": pytest.approx(29 / 30)},
        "chat": {"ttft_vs_cold": 0.25},
        "batch8": {"vs_one": 3.5},
        "clients4": {"ttft_vs_alone": 1.5, "aggregate_vs_one": 2.5},
        "large": {"1b": {}},
        "machine": {"cores": 2},
    }


def test_what_was_not_measured_is_none_and_not_left_out() -> None:
    found = build_ratios([sample("ours")], {"ours": "ours"}, OwnFigures(), {}, {})
    assert set(found["write"].values()) | set(found["edit"].values()) == {None}
    assert [found[key] for key in ("chat", "batch8")] == [{"ttft_vs_cold": None}, {"vs_one": None}]


def test_the_first_token_is_not_compared_with_transformers() -> None:
    found = build_ratios(field(), {"ours": "ours", "HF nf4": "hf"}, OwnFigures(), {}, {})
    assert found["write"]["ttft_vs_best_peer"] is None
    assert found["write"]["decode_vs_best_peer"] == pytest.approx(4.0)


def test_clients_at_once_are_compared_with_the_same_one_after_another() -> None:
    alone = [{"tokens": 100, "first_s": 0.1, "decode_s": 0.9}] * 4
    together = [{"tokens": 100, "first_s": first, "decode_s": 2.0 - first} for first in (0.1, 0.2, 0.3, 0.4)]
    assert build_aggregate(together, alone) == pytest.approx(2.0)
    assert build_slowest_first(together, alone) == pytest.approx(4.0)


def test_memory_is_compared_with_packed_weights_and_cache() -> None:
    loaded = {"model_bytes": 1_100_000_000, "token_bytes": 1_000_000_000}
    found = build_memory({"peak": 2_280_000_000, "now": 1_900_000_000}, loaded)
    assert found == {"peak_vs_final": pytest.approx(1.2), "final_vs_allowed": pytest.approx(1.0)}
    assert build_memory({}, loaded) == {"peak_vs_final": None, "final_vs_allowed": None}


def test_the_table_has_a_line_for_everybody_and_says_why_somebody_is_missing() -> None:
    missing = {"ort": "its model builder failed: no onnx"}
    lines = list(render_table(field(), {**FAMILIES, "silent": "hf"}, {"ours": 4.2}, missing))
    assert lines[0].split() == ["engine", "write", "tok/s", "first", "ready"]
    assert lines[1].split() == ["ours", "200.0", "200", "ms", "4.2", "s"]
    assert lines[-2].split() == ["silent", "-", "-", "-"]
    assert lines[-1].split(maxsplit=1)[1] == "not available: its model builder failed: no onnx"
    assert len(lines) == 7


def test_the_lines_name_every_ratio_and_how_many_answers_were_the_same() -> None:
    own = OwnFigures(same=30, compared=30, chat_warm={0: 0.21})
    ratios = build_ratios(field(), FAMILIES, own, {"1b": {"decode_vs_hf_nf4": 1.5}}, {"cores": 2})
    lines = [line.split() for line in render_ratios(ratios, own)]
    assert ["write.decode_vs_hf_nf4", "4.00"] in lines
    assert ["large.1b.decode_vs_hf_nf4", "1.50"] in lines
    assert ["edit.decode_vs_best_peer", "-"] in lines
    assert ["the", "same", "with", "and", "without", "prompt", "lookup:", "30", "of", "30"] in lines
    assert not any(line[0].startswith("machine") for line in lines)
